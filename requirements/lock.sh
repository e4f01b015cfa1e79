#!/usr/bin/env bash
# Rewrites requirements/lock.txt: exact versions for every supported Python, without torch and what only its CUDA build
# needs. torch is installed on its own (requirements/install.sh), because the right build depends on the machine.
set -euo pipefail
cd "$(dirname "$0")/.."
pip install --quiet uv
echo "torch==$(cat requirements/torch-version.txt)" > requirements/.constraint
trap 'rm -f requirements/.constraint' EXIT
uv pip compile pyproject.toml --extra dev --universal --python-version 3.10 --constraint requirements/.constraint \
    --no-header --no-annotate --quiet --no-emit-package torch --no-emit-package triton \
    | grep -v -E '^(nvidia-|cuda-)' > requirements/.lock
{ echo "# Made by requirements/lock.sh; do not edit."; cat requirements/.lock; } > requirements/lock.txt
rm requirements/.lock
