"""`holdfast public-key`: what deployments are told about a server's signing key (`identity_keys=[...]`)."""

from __future__ import annotations

import argparse
from pathlib import Path

from holdfast.cli import exit_codes
from holdfast.cli.commands import Commands
from holdfast.cli.exit_codes import complain


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "public-key", help="print the public half of a signing key", description=__doc__
    )
    parser.add_argument(
        "file", type=Path, help="private key, PKCS#8 PEM: openssl genpkey -algorithm ed25519 -out key.pem"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """The command; its exit code."""
    from holdfast.protocol.identity import RequestSigner

    try:
        signer = RequestSigner.from_pem(arguments.file.read_bytes())
    except (OSError, ValueError) as error:
        return complain(str(error), exit_codes.CONFIG)
    print(signer.public_key_text)
    return exit_codes.OK
