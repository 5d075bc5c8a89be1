#!/usr/bin/env bash
# Checks every stack of a project before it is merged: its config, its plan with what changes, its policies, and its
# manifests against Kubernetes' own schemas. Needs no engine, no cluster and no account.
#
#   examples/ci/check.sh [BASE] [PLAN]
#
# BASE: what the stacks are held against, a git commit or branch such as origin/main. Default: nothing.
# PLAN: the file that gets the plans as Markdown, for a comment. Default: plan.md
#
# Ends with 0 where every stack may go up, 1 where one may not, 2 where a config has mistakes.
set -euo pipefail

base=${1:-}
plan=${2:-plan.md}
paddock=${PADDOCK:-paddock}
validate=${KUBERNETES_VALIDATE:-kubernetes-validate}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

worst=0
note_failure() { # keep the gravest exit code: 2 before 1
    if (($1 > worst)); then worst=$1; fi
}

: >"$plan"
for file in Pulumi.*.yaml; do
    stack=${file#Pulumi.}
    stack=${stack%.yaml}
    echo "== $stack"

    against=()
    mkdir -p "$work/base"
    if [[ -n $base ]] && git show "$base:./$file" >"$work/base/$file" 2>/dev/null; then
        against=(--against "$work/base/$file")
    fi
    code=0
    "$paddock" plan --stack "$stack" --markdown "${against[@]+"${against[@]}"}" >"$work/$stack.md" 2>"$work/$stack.err" ||
        code=$?
    if ((code != 0 && ${#against[@]} > 0)) && [[ ! -s $work/$stack.md ]]; then
        # What is there now may be something that this release refuses: then there is nothing to compare with.
        code=0
        "$paddock" plan --stack "$stack" --markdown >"$work/$stack.md" 2>"$work/$stack.err" || code=$?
    fi
    if [[ ! -s $work/$stack.md ]]; then
        { echo "### Plan of stack \`$stack\`: its config has mistakes"; echo '```'; cat "$work/$stack.err"; echo '```'; } \
            >"$work/$stack.md"
    fi
    cat "$work/$stack.md" >>"$plan"
    echo >>"$plan"
    sed "s/^/  /" "$work/$stack.err" >&2
    note_failure "$code"

    # Only stacks for a cluster have manifests; the others say so and are passed over.
    if ((code != 2)) && grep -q '^ *paddock:target: *kubernetes' "$file"; then
        if "$paddock" render --stack "$stack" --out "$work/$stack" >/dev/null; then
            if command -v "$validate" >/dev/null; then
                "$validate" --strict --quiet "$work/$stack"/*.yaml || note_failure 1
            else
                echo "  no $validate: manifests are not held against schemas. fix: pip install kubernetes-validate" >&2
            fi
        else
            note_failure 1
        fi
    fi
done
echo "wrote $plan"
exit "$worst"
