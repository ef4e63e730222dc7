#!/usr/bin/env bash
# Installs what the tests need beyond the .NET SDK, Node.js, Python 3 and git, and further Debian packages that are named: tests/prepare.sh buildah.
# Says nothing and changes nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")"

packages=(
  # Real servers: the tests start their own, on free ports and in temporary folders.
  postgresql
  redis-server
  # ps and kill, which the tests hang and crash those servers with.
  procps
  # Independent implementations of RFC 4226, 6238 and 6030.
  oathtool
  pskctool
  pskc-utils
  # Reads QR codes, and makes PNG of SVG for it.
  zbar-tools
  librsvg2-bin
  # What deploy/make-certificates.sh makes certificates with, and a second opinion on those of the tests.
  openssl
  # Shells whose completion of otpctl is tried in them; bash is there.
  zsh
  fish
  # A PKCS#11 module in software, and the tool an operator makes its keys with.
  softhsm2
  opensc
  # The service called from Python. Debian's python3-grpc-tools does not know proto3's "optional"; protoc with the plugin does.
  python3-grpcio
  python3-protobuf
  protobuf-compiler
  protobuf-compiler-grpc
  # The .proto files of google.protobuf, which protoc only recommends.
  libprotobuf-dev
  # promtool for the alerts' tests. Prometheus itself, and a clock that can be set for one process, are for deploy/live-day.sh.
  prometheus
  libfaketime
  # What Python reads YAML and checks JSON against schemas with.
  python3-yaml
  python3-jsonschema
  # An OCI runtime, which starts services of deploy/compose.yaml without a container engine; a compose client, which reads that file as others do.
  crun
  docker-compose
  iproute2
  curl
  jq
)
packages+=("$@")

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

missing_packages() {
  local installed
  # An unknown package is an error of dpkg-query, and here just one that is missing.
  installed=$(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
  for package in "${packages[@]}"; do
    grep -qx "$package installed" <<<"$installed" || echo "$package"
  done
}

install_packages() {
  local policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    # Debian starts a server as it installs it, which no test is to find or depend on: not while this script installs.
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
  fi
  as_root apt-get update --quiet=2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "$@"
}

mapfile -t missing < <(missing_packages)
if ((${#missing[@]} > 0)); then
  echo "installing ${missing[*]}"
  install_packages "${missing[@]}"
fi

# npm takes seconds to find that nothing changed: compare what was asked for with what was installed last.
install_modules() {
  local wanted
  cd "$1"
  wanted=$(sha256sum package.json package-lock.json)
  if [[ ! -e node_modules/.prepared || $(<node_modules/.prepared) != "$wanted" ]]; then
    echo "installing Node.js modules of $1"
    npm install --omit-lockfile-registry-resolved --no-audit --no-fund --ignore-scripts --loglevel=error "${@:2}"
    sha256sum package.json package-lock.json >node_modules/.prepared
  fi
}

# buf; Helm, and the types of what Kubernetes takes; gRPC for the sample, which the tests run.
(install_modules clients/node)
(install_modules ../deploy/checks)
(install_modules ../src/Samples/NodeClient)
# The schemas of SBOMs, without the validators that their package would bring along.
(install_modules ../deploy/checks/sbom --omit=optional)
