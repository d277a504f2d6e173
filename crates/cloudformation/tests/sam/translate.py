"""Rewrites each NAME.json beside this file: what SAM itself makes of NAME.yaml.

    python3 -m venv venv && venv/bin/pip install aws-sam-translator==1.115.0 cfn-lint
    venv/bin/python crates/cloudformation/tests/sam/translate.py
"""

import json
import os
import pathlib

os.environ["AWS_DEFAULT_REGION"] = "us-east-1"

from cfnlint.decode import cfn_yaml
from samtranslator.translator.transform import transform


class ManagedPolicies:
    def load(self):
        return {}


def plain(node):
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(item) for item in node]
    return str(node) if isinstance(node, str) else node


for path in sorted(pathlib.Path(__file__).parent.glob("*.yaml")):
    template = plain(cfn_yaml.load(str(path)))
    made = transform(template, {}, ManagedPolicies())
    path.with_suffix(".json").write_text(json.dumps(made, indent=1) + "\n")
