#!/usr/bin/env bash
# What can be said of deploy/Dockerfile without building it. It is built by deploy/check.sh image.
# Functions are called by check and its like.
# shellcheck disable=SC2317
# shellcheck source=deploy/checks/checking.sh
source "$(dirname "$0")/checking.sh"
readonly project=src/OtpCtl/OtpCtl.csproj

dockerfile_is_right() {
  python3 deploy/checks/image/image_file.py "$1" "$project"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The file with one thing wrong.
dockerfile_but() {
  sed -E "$1" deploy/Dockerfile >"$work/Dockerfile"
  if cmp -s deploy/Dockerfile "$work/Dockerfile"; then
    # Nothing was made wrong: that would be refused by nobody.
    return 0
  fi
  dockerfile_is_right "$work/Dockerfile"
}

check "Dockerfile: it is right, and says what PublishContainer does" dockerfile_is_right deploy/Dockerfile
check_refuses "Dockerfile: a file that is missing in the build is seen" dockerfile_but 's/^COPY \.editorconfig /COPY /'
check_refuses "Dockerfile: a project that is missing in the restore is seen" dockerfile_but '/OtpAuthService.Client.csproj/d'
check_refuses "Dockerfile: a file that .dockerignore keeps away is seen" dockerfile_but 's/^COPY protos protos/COPY README.md protos/'
check_refuses "Dockerfile: root is seen" dockerfile_but 's/^USER .*/USER root/'
check_refuses "Dockerfile: a shell is seen" dockerfile_but 's|^ENTRYPOINT .*|ENTRYPOINT /app/OtpAuthService|'
check_refuses "Dockerfile: another base than PublishContainer's is seen" dockerfile_but 's/10.0-noble-chiseled/10.0/'
finish_checks
