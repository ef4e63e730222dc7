"""Checks an SBOM that deploy/make-sbom.py has made of a published folder: sbom_file.py SBOM FOLDER SCHEMAS

It fits CycloneDX's own schema, every assembly and native library in the folder is of a component in it, and each package has its licence and its hash.
"""

import glob
import json
import os
import sys

import jsonschema


def main(sbom, folder, schemas):
    with open(sbom, encoding="utf-8") as file:
        document = json.load(file)
    problems = [*schema_problems(document, schemas), *missing_files(document, folder), *incomplete(document), *loose_ends(document)]
    print("\n".join(problems))
    return 1 if problems else 0


def schema_problems(document, schemas):
    loaded = {}
    for name in ("bom-1.6", "spdx", "jsf-0.82", "cryptography-defs"):
        with open(os.path.join(schemas, f"{name}.SNAPSHOT.schema.json"), encoding="utf-8") as file:
            loaded[name] = json.load(file)
    resolver = jsonschema.RefResolver.from_schema(loaded["bom-1.6"], store={f"http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json": schema for name, schema in loaded.items()})
    validator = jsonschema.Draft7Validator(loaded["bom-1.6"], resolver=resolver, format_checker=jsonschema.FormatChecker())
    for error in validator.iter_errors(document):
        yield f"schema: {'/'.join(str(part) for part in error.path)}: {error.message[:200]}"


def missing_files(document, folder):
    """Which component a file is of, by the lists that the runtime itself goes by."""
    components = {(component["name"].lower(), component["version"]) for component in document["components"]}
    of_components = set()
    for path in glob.glob(os.path.join(folder, "*.deps.json")):
        with open(path, encoding="utf-8") as file:
            deps = json.load(file)
        for name, target in deps["targets"][deps["runtimeTarget"]["name"]].items():
            title, version = name.split("/")
            if (title.lower(), version) in components:
                for kind in ("runtime", "native", "runtimeTargets"):
                    of_components |= {os.path.basename(file) for file in target.get(kind, {})}
    for root, _, files in os.walk(folder):
        for file in files:
            if file.endswith((".dll", ".so")) and file not in of_components:
                yield f"{os.path.relpath(os.path.join(root, file), folder)} is of no component"


def incomplete(document):
    for component in document["components"]:
        if "purl" in component:
            if not component.get("licenses"):
                yield f"{component['name']}: no licence"
            if not component.get("hashes"):
                yield f"{component['name']}: no hash"


def loose_ends(document):
    """Everything is reached from the service."""
    refs = {component["bom-ref"] for component in document["components"]}
    edges = {dependency["ref"]: dependency["dependsOn"] for dependency in document["dependencies"]}
    reached, todo = set(), [document["metadata"]["component"]["bom-ref"]]
    while todo:
        ref = todo.pop()
        if ref not in reached:
            reached.add(ref)
            todo += edges.get(ref, [])
    yield from (f"{ref} is used by nobody" for ref in sorted(refs - reached))
    yield from (f"{ref} is used, and no component" for ref in sorted(reached - refs - {document["metadata"]["component"]["bom-ref"]}))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
