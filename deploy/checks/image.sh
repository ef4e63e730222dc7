#!/usr/bin/env bash
# The image, which takes minutes: deploy/Dockerfile is built, by buildah and on stand-ins for its base images, and started as deploy/compose.yaml says; and the SDK
# makes the same image without it. What can be said of it in seconds: dockerfile.sh.
# Functions are called by check and its like.
# shellcheck disable=SC2317
# shellcheck source=deploy/checks/checking.sh
source "$(dirname "$0")/checking.sh"
work=$(mktemp -d)
finish() {
  if [[ -s $work/registry.pid ]]; then kill "$(<"$work/registry.pid")" || true; fi
  # What is mounted of images goes with their containers.
  if [[ -d $store ]]; then buildah rm --all >/dev/null; fi
  rm -rf "$work"
}
trap finish EXIT

# Layers are kept here, so that only what changed is built anew.
readonly store=$PWD/deploy/obj/image

buildah() {
  command buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@"
}

has_image() {
  buildah inspect --type image "$1" >/dev/null 2>&1
}

runtime_version() {
  dotnet --list-runtimes | sed -n 's/^Microsoft\.AspNetCore\.App \(10\.[^ ]*\) .*/\1/p' | tail -n 1
}

# For mcr.microsoft.com/dotnet/aspnet, with the variables of the original.
make_runtime_stand_in() {
  local container
  if has_image "$runtime_image"; then return; fi
  container=$(buildah from scratch)
  bash deploy/checks/image/runtime-image.sh "$(buildah mount "$container")"
  buildah config --user 1654 --env APP_UID=1654 --env ASPNETCORE_HTTP_PORTS=8080 --env DOTNET_RUNNING_IN_CONTAINER=true \
    --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah commit --quiet --rm "$container" "$runtime_image"
}

# For mcr.microsoft.com/dotnet/sdk: nothing but the places where the machine's own programs are lent to it during the build.
make_sdk_stand_in() {
  local container root link
  if has_image localhost/sdk; then return; fi
  container=$(buildah from scratch)
  root=$(buildah mount "$container")
  mkdir -p "$root"/{usr,tmp,root/.nuget,etc/ssl}
  for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
  cp /etc/passwd /etc/group "$root/etc/"
  chmod 1777 "$root/tmp"
  # A build that is over leaves no process behind, as in a container of its own.
  buildah config --env PATH=/usr/local/bin:/usr/bin:/bin --env HOME=/root --env DOTNET_NOLOGO=1 --env DOTNET_CLI_TELEMETRY_OPTOUT=1 \
    --env NUGET_CERT_REVOCATION_MODE=offline --env MSBUILDDISABLENODEREUSE=1 --env DOTNET_CLI_USE_MSBUILD_SERVER=0 "$container"
  buildah commit --quiet --rm "$container" localhost/sdk
}

build() {
  local dotnet
  dotnet=$(dirname "$(readlink -f "$(command -v dotnet)")")
  mkdir -p "$HOME/.nuget"
  buildah build --isolation chroot --layers --pull=never --build-arg SDK_IMAGE=localhost/sdk --build-arg RUNTIME_IMAGE="$runtime_image" --build-arg VERSION=1.2.3 \
    --volume /usr:/usr:ro --volume "$dotnet:/usr/share/dotnet:ro" --volume /etc/ssl:/etc/ssl:ro --volume "$HOME/.nuget:/root/.nuget" \
    --file deploy/Dockerfile --tag localhost/otp-auth-service .
}

# Root file system and settings, for what follows.
open_image() {
  buildah mount "$(buildah from --pull-never "$1")" >"$work/$2.root" && buildah inspect --type image "$1" | jq .OCIv1.config >"$work/$2.json"
}

settings_are() {
  jq --exit-status '.User == "1654:1654" and .Entrypoint == ["/app/OtpAuthService"] and .WorkingDir == "/app" and (.ExposedPorts | keys) == ["5080/tcp", "5081/tcp"]
    and (.Env | contains(["DOTNET_EnableDiagnostics=0", "ASPNETCORE_HTTP_PORTS="])) and .Labels["org.opencontainers.image.title"] == "OtpAuthService"' "$work/$1.json" || { cat "$work/$1.json"; return 1; }
}

# What its user could use to get further.
nothing_to_use() {
  local root found
  root=$(<"$work/$1.root")
  found=$(find "$root" \( -name sh -o -name bash -o -name dash -o -name busybox -o -name apt -o -name dpkg -o -name curl -o -name wget \) -not -type d
    find "$root/app" \( -not -user root -o -perm /022 \)
    find "$root" -perm /6000 -type f)
  [[ -z $found ]] || { echo "$found"; return 1; }
}

# As it was built; the program is run by this machine's runtime.
version_is() {
  [[ $(jq -r '.Labels["org.opencontainers.image.version"]' "$work/built.json") == 1.2.3 && $("$(<"$work/built.root")/app/otpctl" --version) == 1.2.3* ]]
}

sbom_of_image() {
  python3 deploy/make-sbom.py "$(<"$work/built.root")/app" >"$work/sbom.json" &&
    /usr/bin/python3 deploy/checks/sbom/sbom_file.py "$work/sbom.json" "$(<"$work/built.root")/app" deploy/checks/sbom/node_modules/@cyclonedx/cyclonedx-library/res/schema
}

# A registry on this machine has the stand-in under the original's name: the SDK takes base images from registries only.
publish_without_dockerfile() {
  local port here
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  here=localhost:$port
  printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$work/registry" "$port" >"$work/registry.yml"
  docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
  echo $! >"$work/registry.pid"
  for _ in {1..50}; do
    if curl --silent --fail "http://$here/v2/" >/dev/null; then break; fi
    sleep 0.1
  done
  buildah push --quiet --tls-verify=false "$runtime_image" "docker://$here/dotnet/aspnet:10.0-noble-chiseled"
  # Ahead-of-time code is left out: it would be compiled once more.
  DOTNET_CONTAINER_INSECURE_REGISTRIES=$here dotnet publish src/OtpCtl -t:PublishContainer --configuration Release --arch x64 -p:PublishReadyToRun=false \
    -p:ContainerBaseImage="$here/dotnet/aspnet:10.0-noble-chiseled" -p:ContainerRegistry="$here"
  buildah pull --quiet --tls-verify=false "docker://$here/otp-auth-service:latest"
  open_image "$here/otp-auth-service:latest" published
}

same_files() {
  diff <(cd "$(<"$work/built.root")/app" && find . -type f | sort) <(cd "$(<"$work/published.root")/app" && find . -type f | sort)
}

# buildah and its storage want root.
if ((EUID != 0)); then exec sudo --preserve-env=HOME,PATH bash deploy/checks/image.sh; fi
bash tests/prepare.sh buildah docker-registry
mkdir -p "$store"
runtime_image=localhost/aspnet:$(runtime_version)
check "image: stand-ins for the base images" make_runtime_stand_in
check "image: stand-in for the SDK" make_sdk_stand_in
SECONDS=0
check "image: the Dockerfile is built" build
echo "--      built in $SECONDS s"
check "image: can be opened" open_image localhost/otp-auth-service built
check "image: user, entry point, folder, ports, environment, labels" settings_are built
check "image: the version that it was built as" version_is
check "image: no shell, no package manager, nothing that its user can write, nothing setuid" nothing_to_use built
check "image: its SBOM names all that is in it" sbom_of_image
bash deploy/checks/image/started.sh "$(<"$work/built.root")" "$work/built.json" || checks_failed=1
check "image: dotnet publish -t:PublishContainer" publish_without_dockerfile
check "image: PublishContainer: user, entry point, folder, ports, environment, labels" settings_are published
check "image: PublishContainer: the same files" same_files
finish_checks
