#!/usr/bin/env python3
"""Writes the SBOM of a published folder to standard output: CycloneDX 1.6, JSON.

    deploy/make-sbom.py FOLDER > otp-auth-service.cdx.json

FOLDER is what `dotnet publish src/OtpCtl --output FOLDER` makes, the folder /app of the image. What is in it is said by its *.deps.json; licences and hashes of
packages are those of NuGet's folder of packages on this machine (NUGET_PACKAGES, ~/.nuget/packages). Python 3 without further packages.

It lists what is there. Whether any of it has known vulnerabilities is for another tool to say, with this as its input.
"""

import base64
import datetime
import glob
import json
import os
import re
import sys
import uuid
import xml.etree.ElementTree as xml

PACKAGES = os.environ.get("NUGET_PACKAGES") or os.path.expanduser("~/.nuget/packages")


def main(folder):
    depends, packages, own, version = read_folder(folder)
    components = [package(name, packages[name]) for name in sorted(packages, key=str.lower)]
    ours = [{"type": "library", "bom-ref": ref, "name": ref.split("/")[0], "version": ref.split("/")[1]} for ref in sorted(own)]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {"components": [{"type": "application", "name": "make-sbom.py"}]},
            "component": {"type": "application", "bom-ref": "otp-auth-service", "name": "otp-auth-service", "version": version},
        },
        "components": ours + components,
        "dependencies": [{"ref": "otp-auth-service", "dependsOn": sorted(own)}]
        + [{"ref": ref, "dependsOn": sorted(on)} for ref, on in sorted(depends.items())],
        # The runtime of the base image and its operating system are not in the folder.
        "compositions": [{"aggregate": "incomplete", "assemblies": ["otp-auth-service"]}],
    }
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def read_folder(folder):
    """By all *.deps.json of the folder: who depends on what (by bom-ref), packages by name/version, our own libraries, our version."""
    files = sorted(glob.glob(os.path.join(folder, "*.deps.json")))
    if not files:
        sys.exit(f"make-sbom.py: there is no *.deps.json in {folder}: is it a published folder?")
    depends, packages, own = {}, {}, set()
    version = None
    for file in files:
        with open(file, encoding="utf-8") as content:
            deps = json.load(content)
        target = deps["targets"][deps["runtimeTarget"]["name"]]
        refs = {name: purl(name) if library["type"] == "package" else name for name, library in deps["libraries"].items()}
        by_name = {name.split("/")[0]: name for name in refs}
        for name, library in deps["libraries"].items():
            if library["type"] == "project":
                own.add(name)
                version = name.split("/")[1]
            elif library["type"] == "package":
                packages[name] = library
            needed = target.get(name, {}).get("dependencies", {})
            depends.setdefault(refs[name], set()).update(refs[by_name[other]] for other in needed if other in by_name)
    return depends, packages, own, version


def purl(name):
    return "pkg:nuget/" + name.replace("/", "@")


def package(name, library):
    title, version = name.split("/")
    folder = os.path.join(PACKAGES, library.get("path", name.lower()))
    component = {"type": "library", "bom-ref": purl(name), "name": title, "version": version, "purl": purl(name)}
    nuspec = read_nuspec(folder)
    if nuspec is not None:
        for member, element in (("author", "authors"), ("description", "description"), ("copyright", "copyright")):
            if text := (nuspec.findtext(element) or "").strip():
                component[member] = text
        component |= licence(nuspec)
        references = [{"type": kind, "url": url} for kind, url in (("website", nuspec.findtext("projectUrl")), ("vcs", repository(nuspec))) if url]
        if references:
            component["externalReferences"] = references
    digest = glob.glob(os.path.join(folder, "*.nupkg.sha512"))
    if digest:
        with open(digest[0], encoding="ascii") as file:
            component["hashes"] = [{"alg": "SHA-512", "content": base64.b64decode(file.read()).hex()}]
    return component


def read_nuspec(folder):
    """The package's description of itself, without XML's namespaces, of which there are many versions."""
    files = glob.glob(os.path.join(folder, "*.nuspec"))
    if not files:
        return None
    with open(files[0], encoding="utf-8-sig") as file:
        return xml.fromstring(re.sub(r'\sxmlns="[^"]*"', "", file.read())).find("metadata")


def licence(nuspec):
    element = nuspec.find("license")
    if element is None:
        address = nuspec.findtext("licenseUrl")
        return {"licenses": [{"license": {"name": "at an address", "url": address}}]} if address else {}
    text = element.text.strip()
    if element.get("type") == "file":
        return {"licenses": [{"license": {"name": f"in the package: {text}"}}]}
    return {"licenses": [{"expression": text} if " " in text else {"license": {"id": text}}]}


def repository(nuspec):
    element = nuspec.find("repository")
    return element.get("url") if element is not None else None


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
