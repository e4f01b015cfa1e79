#!/usr/bin/env bash
# Installs feat2go into the virtual environment given as first argument: torch for this machine, the locked versions of
# everything else, then the package itself in editable mode.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:?usage: install.sh VENV}
torch=torch==$(cat requirements/torch-version.txt)

[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
pip="$venv/bin/python -m pip -qq --disable-pip-version-check"

has_torch() { "$venv/bin/python" -c "import importlib.metadata as m; assert m.version('torch').startswith('${torch#*==}')" 2> /dev/null; }

if ! has_torch; then
    if command -v nvidia-smi > /dev/null || [ "$(uname -s)" != Linux ]; then
        $pip install "$torch"
    # Without a GPU: a CPU build that pip is set up to find, else uv, which knows PyTorch's own index of them.
    elif ! $pip install "$torch+cpu" 2> /dev/null; then
        $pip install uv
        "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --torch-backend cpu "$torch"
    fi
fi
$pip install -r requirements/lock.txt
$pip install --no-deps -e .
