# shellcheck shell=bash
# Starts services of deploy/compose.yaml without a container engine: an OCI runtime (crun) gives each what the file says, root file system, user, capabilities, mounts,
# settings. Images that cannot be pulled have stand-ins made of this machine's programs. All of it is in namespaces of its own, in which every service is 127.0.0.1.
# To be sourced after checking.sh.

# Runs the script anew in namespaces that nothing outlives. Needs root.
enter_namespaces() {
  if [[ -z ${in_namespaces-} ]]; then
    local as_root=()
    if ((EUID != 0)); then as_root=(sudo --preserve-env); fi
    exec "${as_root[@]}" env in_namespaces=1 unshare --mount --net --pid --fork --kill-child --mount-proc bash "$0" "$@"
  fi
  ip link set lo up
  # crun looks for control groups, also where it is told to use none, and gives up on Debian's old and new ones side by side.
  mount -t tmpfs none /sys/fs/cgroup
  state=$(mktemp -d)
  chmod 755 "$state"
  trap 'rm -rf "$state"' EXIT
  local names
  names=$(python -c 'import sys, yaml; print(*yaml.safe_load(open(sys.argv[1]))["services"])' deploy/compose.yaml)
  echo "127.0.0.1 localhost $names" >"$state/hosts"
}

# Debian's, which has its modules.
python() {
  /usr/bin/python3 "$@"
}

# Where services come from: this machine's programs, or the image whose --image ROOT CONFIG is in service_image.
service_image=()
image_of() {
  case $1 in
    migrate | otp-auth-service | otpctl) printf '%s\n' "${service_image[@]}" ;;
    *) echo --machine ;;
  esac
}

crun() {
  command crun --root "$state/crun" --cgroup-manager=disabled "$@"
}

bundle() {
  local name=$1 image
  mapfile -t image < <(image_of "$name")
  python deploy/checks/compose/compose_file.py bundle deploy/compose.yaml "$state" "$name" "${image[@]}" "${@:2}"
}

# A service that ends, with other arguments where some are given; its input and output are ours.
run_service() {
  bundle "$@"
  crun run --bundle "$state/$1" "$1-$RANDOM"
}

# A service that stays. Its output is in $state/NAME.log, its exit code in $state/NAME.code.
start_service() {
  bundle "$1"
  rm -f "$state/$1.code"
  {
    code=0
    crun run --bundle "$state/$1" "$1" >"$state/$1.log" 2>&1 || code=$?
    echo "$code" >"$state/$1.code"
  } >/dev/null 2>&1 </dev/null &
}

# By the signal that an engine sends, if no other one is named. Its exit code is ours.
stop_service() {
  crun kill "$1" "${2:-TERM}"
  eventually test -s "$state/$1.code"
  return "$(<"$state/$1.code")"
}

# As compose waits for it, by the health check of the file.
wait_until_healthy() {
  local name=$1 user test
  user=$(python -c 'import sys, yaml; print(yaml.safe_load(open("deploy/compose.yaml"))["services"][sys.argv[1]]["user"])' "$name")
  mapfile -t test < <(python -c '
import sys, yaml
kind, *words = yaml.safe_load(open("deploy/compose.yaml"))["services"][sys.argv[1]]["healthcheck"]["test"]
print(*(["sh", "-c"] if kind == "CMD-SHELL" else []) + [word.replace("$$", "$") for word in words], sep="\n")' "$name")
  eventually crun exec --user "$user" "$name" "${test[@]}" || { tail -n 20 "$state/$name.log"; return 1; }
}

# Asks again for half a minute.
eventually() {
  local output
  for _ in {1..150}; do
    if output=$("$@" 2>&1); then return; fi
    sleep 0.2
  done
  echo "never: $*: $output"
  return 1
}
