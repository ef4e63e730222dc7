"""What can be said of deploy/Dockerfile without building it: image_file.py DOCKERFILE PROJECT

Rules that a build on another day would break on, and that `dotnet publish -t:PublishContainer` (its settings are in PROJECT) makes the same image.
"""

import json
import os
import re
import sys
import xml.etree.ElementTree as xml

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def instructions(path):
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"^#.*\n", "", file.read(), flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


def problems(dockerfile, project):
    lines = instructions(dockerfile)
    last = max(index for index, (name, _) in enumerate(lines) if name == "FROM")
    final = lines[last:]
    arguments = dict(rest.split("=", 1) for name, rest in lines if name == "ARG" and "=" in rest)

    copied = [source for name, rest in lines if name == "COPY" and "--from" not in rest for source in rest.split()[:-1]]
    with open(os.path.join(REPOSITORY, ".dockerignore"), encoding="utf-8") as file:
        let_through = [line[1:].strip() for line in file if line.startswith("!")]
    for source in copied:
        if not os.path.exists(os.path.join(REPOSITORY, source)):
            yield f"COPY {source}: there is none"
        if not any(source == path or source.startswith(path + "/") for path in let_through):
            yield f"COPY {source}: .dockerignore keeps it away"
    # What the SDK looks for by itself on its way up from a project.
    for file in ("global.json", "Directory.Build.props", "Directory.Packages.props", ".editorconfig", "Directory.Build.targets", "nuget.config"):
        if os.path.exists(os.path.join(REPOSITORY, file)) and file not in copied:
            yield f"{file} decides on the build, and is not copied"
    for needed in projects(project):
        if needed not in copied:
            yield f"{needed} is restored without its project file"

    if any(name == "ADD" for name, _ in lines):
        yield "ADD fetches from anywhere"
    if any(name == "RUN" for name, _ in final):
        yield "RUN in the last stage: there is no shell"
    users = [rest for name, rest in final if name == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        yield "USER is not a number that Kubernetes can tell from root"
    entry = [rest for name, rest in final if name == "ENTRYPOINT"]
    if not entry or not entry[-1].startswith('["/'):
        yield "ENTRYPOINT needs a shell"

    settings = xml.parse(os.path.join(REPOSITORY, project)).getroot()
    environment = {match[0]: match[1] for name, rest in final if name == "ENV" for match in re.findall(r"(\w+)=(\S*)", rest)}
    same = {
        "base image": (arguments.get("RUNTIME_IMAGE"), settings.findtext(".//ContainerBaseImage")),
        "user": (users[-1] if users else None, settings.findtext(".//ContainerUser")),
        "folder": ([rest for name, rest in final if name == "WORKDIR"][-1], settings.findtext(".//ContainerWorkingDirectory")),
        "program": (entry_point(entry), [command.get("Include") for command in settings.iter("ContainerAppCommand")]),
        "ports": ([rest for name, rest in final if name == "EXPOSE"][-1].split(), [port.get("Include") for port in settings.iter("ContainerPort")]),
        "environment": (environment, {variable.get("Include"): variable.get("Value") for variable in settings.iter("ContainerEnvironmentVariable")}),
        "title": (re.search(r'image\.title="([^"]*)"', str(final)).group(1), settings.findtext(".//ContainerTitle")),
        "description": (re.search(r'image\.description="([^"]*)"', str(final)).group(1), settings.findtext(".//ContainerDescription")),
    }
    for what, (here, there) in same.items():
        if here != there:
            yield f"{what}: {here} in the Dockerfile, {there} in {project}"


def entry_point(lines):
    return json.loads(lines[-1]) if lines and lines[-1].startswith("[") else None


def projects(path):
    """It and all that it refers to."""
    yield path
    for reference in xml.parse(os.path.join(REPOSITORY, path)).getroot().iter("ProjectReference"):
        yield from projects(os.path.normpath(os.path.join(os.path.dirname(path), reference.get("Include"))))


if __name__ == "__main__":
    found = sorted(set(problems(*sys.argv[1:3])))
    print("\n".join(found))
    sys.exit(1 if found else 0)
