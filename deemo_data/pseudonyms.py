"""Pseudonyms: names that stand for clips, sources and people outside the project.

Every pseudonym is a keyed hash (HMAC-SHA256) of the private name under the secret of the project. The same name gives the same
pseudonym within a project and another one in every other project. Without the secret nobody can test a guess.
"""

from __future__ import annotations

import hashlib
import hmac


def derive_key(secret: bytes, purpose: str) -> str:
    """Derive a key for one purpose, as 64 hex digits. It does not reveal the secret of the project."""
    return hmac.new(secret, purpose.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def derive_public_id(secret: bytes, kind: str, private_id: str) -> str:
    """The id of a clip (kind "c") or a source (kind "v") outside the project.

    It is keyed because private ids come from plain hashes of footage: somebody who has the footage could look those up.
    """
    return f"{kind}-{derive_key(secret, f'{kind}:{private_id}')[:16]}"


def derive_pseudonym(secret: bytes, annotator: object) -> str:
    """The pseudonym of an annotator, made of their Label Studio id, or of their e-mail address or user name if there is no id.

    annotator  what Label Studio says: the id itself, or an object that holds it
    """
    if isinstance(annotator, dict):
        annotator = next((annotator[k] for k in ("id", "email", "username") if annotator.get(k) is not None), None)
    return f"a-{derive_key(secret, f'annotator:{annotator}')[:12]}"
