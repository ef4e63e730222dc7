"""What deploy/compose.yaml must be, and its services as bundles of an OCI runtime, which starts them without a container engine.

compose_file.py check FILE FIRST_START        every rule below; FIRST_START: what first-start.sh has made, by the names of its folders
compose_file.py bundle FILE STATE SERVICE [--image ROOT CONFIG | --machine] [ARGUMENT...]
                                              makes STATE/SERVICE/config.json; volumes are folders in STATE/volumes
"""

import json
import os
import re
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
SOURCES = os.path.join(REPOSITORY, "src")
SECRETS = "/run/secrets/"


def read(path):
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def volumes(service):
    """Source, target and whether it is read-only, of each."""
    for volume in service.get("volumes", []):
        source, target, *mode = volume.split(":")
        yield source, target, mode == ["ro"]


def texts(service):
    """Every text of a service that may name a path in the container."""
    yield from (f"{value}" for value in service.get("environment", {}).values())
    for key in ("command", "entrypoint"):
        yield from service.get(key, [])
    yield from service.get("healthcheck", {}).get("test", [])


# Rules. Each yields what is wrong.


def ports_on_loopback(compose):
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", str(port)):
                yield f"{name}: port {port} can be reached from other machines"
        if service.get("network_mode") == "host":
            yield f"{name}: is in the machine's own network"


def hardened(compose):
    for name, service in compose["services"].items():
        if service.get("read_only") is not True:
            yield f"{name}: its root file system can be written"
        if service.get("cap_drop") != ["ALL"] or service.get("privileged"):
            yield f"{name}: it has capabilities"
        if service.get("security_opt") != ["no-new-privileges:true"]:
            yield f"{name}: it can gain privileges"
        if service.get("cap_add") and name != "first-start":
            yield f"{name}: it is given capabilities"
        if str(service.get("user", "")).split(":")[0] in ("", "0", "root") and name != "first-start" and not ours(service):
            yield f"{name}: it may run as root"


def ours(service):
    """Its user is that of the image, which deploy/checks/image.sh looks at."""
    return service["image"].startswith("otp-auth-service:")


def images_have_versions(compose):
    for name, service in compose["services"].items():
        if not re.search(r":[A-Za-z0-9][A-Za-z0-9._-]*$", service["image"]) or service["image"].endswith(":latest"):
            yield f"{name}: {service['image']} is another image tomorrow"


def no_secrets(compose):
    """A setting whose name says that it is secret holds the path of a file."""
    for name, service in compose["services"].items():
        for setting, value in service.get("environment", {}).items():
            if re.search(r"password|secret|pin$|token$|connectionstrings|kek|keyfile|_key$", setting, re.IGNORECASE) and not str(value).startswith(SECRETS):
                yield f"{name}: {setting} is given in the clear"
        for text in texts(service):
            if re.search(r"[0-9a-zA-Z+/]{32,}={0,2}$|password=[^$ ]", str(text), re.IGNORECASE) and not str(text).startswith("/"):
                yield f"{name}: '{text}' looks like a secret"


def mounted_paths_exist(compose):
    for name, service in compose["services"].items():
        for source, _, read_only in volumes(service):
            if source.startswith("."):
                if not os.path.exists(os.path.join(REPOSITORY, "deploy", source)):
                    yield f"{name}: deploy/{source} does not exist"
                if not read_only:
                    yield f"{name}: deploy/{source} could be written"
            elif source not in compose["volumes"]:
                yield f"{name}: volume {source} is not declared"
    used = {source for service in compose["services"].values() for source, _, _ in volumes(service)}
    yield from (f"volume {volume} is nobody's" for volume in compose["volumes"] if volume not in used)


def options(code):
    """Properties of each class in the sources, by name, with the class that they are of."""
    classes = re.split(r"^(?:internal|public) (?:sealed |static |partial )*(?:class|record) (\w+)", code, flags=re.MULTILINE)
    return {name: {prop: kind.rstrip("?") for kind, prop in re.findall(r"public ([\w<>?]+) (\w+) \{ get;", body)} for name, body in zip(classes[1::2], classes[2::2])}


def is_option(known, path, kind="OtpAuthOptions"):
    for part in path:
        kind = known.get(kind, {}).get(part)
    return bool(path) and kind is not None


def settings_exist(compose):
    """Settings of the service by the properties of its options and the endpoints in its own settings; otpctl's by its sources."""
    code = "\n".join(open(os.path.join(folder, file), encoding="utf-8").read() for folder, _, files in os.walk(SOURCES) for file in files
                     if file.endswith(".cs") and "/obj/" not in folder and "/bin/" not in folder)
    with open(os.path.join(SOURCES, "OtpAuthService", "appsettings.json"), encoding="utf-8") as file:
        endpoints = json.load(file)["Kestrel"]["Endpoints"]
    for name, service in compose["services"].items():
        if not ours(service):
            continue
        for setting in service.get("environment", {}):
            section, *rest = setting.removesuffix("_FILE").split("__")
            if section == "OtpAuth":
                known = is_option(options(code), rest)
            elif section == "ConnectionStrings":
                known = len(rest) == 1 and f'Name = "{rest[0]}";' in code
            elif section == "Kestrel":
                known = len(rest) == 3 and rest[0] == "Endpoints" and rest[1] in endpoints and rest[2] in ("Url", "Protocols")
            else:
                known = not rest and f'"{setting}"' in code
            if not known:
                yield f"{name}: the service knows no setting {setting}"


def secrets_are_made(compose, first_start):
    """Every path under /run/secrets that a service names is a file that first-start.sh gives it, for its user."""
    # The folder that first-start.sh makes of each volume.
    folders = {source: os.path.basename(target) for source, target, _ in volumes(compose["services"]["first-start"]) if target.startswith("/first-start/")}
    for name, service in compose["services"].items():
        mounted = {target: folders.get(source) for source, target, _ in volumes(service) if target.startswith(SECRETS)}
        text = " ".join(str(text) for text in texts(service))
        for source, _, _ in volumes(service):
            # Files that are mounted name paths as well.
            path = os.path.join(REPOSITORY, "deploy", source)
            if source.startswith("./compose/") and os.path.isfile(path):
                text += " " + open(path, encoding="utf-8").read().replace("$role", "otp_service")
        for path in sorted(set(re.findall(r"/run/secrets/[\w./-]+", text))):
            folder = mounted.get(os.path.dirname(path))
            file = folder and os.path.join(first_start, folder, os.path.basename(path))
            if not file or not os.path.isfile(file):
                yield f"{name}: {path} is made by nobody"
                continue
            user = 1654 if ours(service) else int(service["user"].split(":")[0])
            status = os.stat(file)
            if status.st_uid != user or status.st_mode & 0o777 != 0o400:
                yield f"{name}: {path} is user {status.st_uid}'s with mode {status.st_mode & 0o777:o}, not {user}'s alone"


def stores_are_apart(compose):
    for name, service in compose["services"].items():
        networks = service.get("networks", [])
        if "stores" in networks and service.get("ports") and name != "otp-auth-service":
            yield f"{name}: a store can be reached from the machine"
    if compose["networks"]["stores"].get("internal") is not True:
        yield "the stores' network leads out"


def starts_in_order(compose):
    """As the service needs it: secrets, stores, schema, itself."""
    for name, needed in {"postgres": {"first-start": "service_completed_successfully"}, "redis": {"first-start": "service_completed_successfully"},
                         "migrate": {"postgres": "service_healthy"},
                         "otp-auth-service": {"redis": "service_healthy", "migrate": "service_completed_successfully"}}.items():
        found = {other: how["condition"] for other, how in compose["services"][name].get("depends_on", {}).items()}
        if not needed.items() <= found.items():
            yield f"{name}: starts before {' and '.join(needed)}"


def check(path, first_start):
    compose = read(path)
    problems = [problem for rule in (ports_on_loopback, hardened, images_have_versions, no_secrets, mounted_paths_exist, settings_exist, stores_are_apart, starts_in_order)
                for problem in rule(compose)]
    problems += secrets_are_made(compose, first_start)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


# Bundles.

# What the machine lends to a stand-in for an image that cannot be pulled: its programs. Users are those of the images.
MACHINE = ("/usr", "/etc/ssl", "/etc/alternatives", "/etc/ld.so.cache", "/etc/postgresql-common", "/etc/localtime")


def machine_root(root):
    os.makedirs(root + "/etc", exist_ok=True)
    for link in ("bin", "sbin", "lib", "lib64"):
        if not os.path.lexists(f"{root}/{link}"):
            os.symlink(f"usr/{link}", f"{root}/{link}")
    os.makedirs(root + "/var", exist_ok=True)
    if not os.path.lexists(root + "/var/run"):
        os.symlink("../run", root + "/var/run")
    with open(root + "/etc/passwd", "w", encoding="utf-8") as file:
        file.write("root:x:0:0::/:/bin/bash\npostgres:x:999:999::/:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n")
    return [{"destination": path, "source": path, "type": "bind", "options": ["rbind", "ro"]} for path in MACHINE if os.path.exists(path)]


def bundle(path, state, name, arguments):
    compose = read(path)
    service = compose["services"][name]
    folder = os.path.join(state, name)
    os.makedirs(folder, exist_ok=True)
    image = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "WorkingDir": "/", "Entrypoint": [], "Cmd": []}
    mounts = []
    if arguments[0] == "--image":
        root = arguments[1]
        with open(arguments[2], encoding="utf-8") as file:
            image = json.load(file)
        arguments = arguments[3:]
    else:
        root = os.path.join(folder, "root")
        mounts = machine_root(root)
        arguments = arguments[1:]
        if name == "postgres":
            image["Entrypoint"] = ["bash", "/stand-ins/postgres-entrypoint.sh"]
            mounts.append(bind("/stand-ins", HERE, True))

    user, _, group = str(service.get("user") or image.get("User") or "0").partition(":")
    user, group = int(user), int(group or user)
    for source, target, read_only in volumes(service):
        if source.startswith("."):
            source = os.path.join(REPOSITORY, "deploy", source)
        else:
            source = os.path.join(state, "volumes", source)
            made = not os.path.exists(source)
            os.makedirs(source, exist_ok=True)
            if made and not ours(service) and user != 0:
                # A new volume is as the image has the folder: its user's.
                os.chown(source, user, group)
        mounts.append(bind(target, source, read_only))
    mounts += [{"destination": target, "source": "tmpfs", "type": "tmpfs", "options": ["nosuid", "nodev", "noexec", "mode=1777"]} for target in service.get("tmpfs", [])]
    mounts.append(bind("/etc/hosts", os.path.join(state, "hosts"), True))

    capabilities = [f"CAP_{capability}" for capability in service.get("cap_add", [])]
    environment = dict(variable.split("=", 1) for variable in image.get("Env", []))
    environment |= {key: str(value) for key, value in service.get("environment", {}).items()}
    entrypoint = service.get("entrypoint") or image.get("Entrypoint") or []
    command = arguments or service.get("command") or ([] if service.get("entrypoint") else image.get("Cmd") or [])
    config = {
        "ociVersion": "1.0.2",
        "hostname": name,
        "root": {"path": root, "readonly": service.get("read_only", False)},
        "process": {
            "terminal": False,
            "user": {"uid": user, "gid": group},
            "args": [argument.replace("$$", "$") for argument in entrypoint + command],
            "env": [f"{key}={value}" for key, value in environment.items()],
            "cwd": image.get("WorkingDir") or "/",
            "capabilities": {kind: capabilities for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": "no-new-privileges:true" in service.get("security_opt", []),
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777"]},
        ] + mounts,
        # The network is that of whoever starts it: a namespace of the check's own, in which every service is 127.0.0.1.
        "linux": {"namespaces": [{"type": kind} for kind in ("mount", "pid", "ipc", "uts")]},
    }
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)
    return 0


def bind(target, source, read_only):
    return {"destination": target, "source": source, "type": "bind", "options": ["rbind", "ro" if read_only else "rw"]}


if __name__ == "__main__":
    if sys.argv[1] == "check":
        sys.exit(check(*sys.argv[2:4]))
    sys.exit(bundle(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]))
