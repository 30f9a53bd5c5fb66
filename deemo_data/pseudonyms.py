"""Keyed hashes (HMAC): public ids, annotator pseudonyms, derived keys."""

from __future__ import annotations

import hashlib
import hmac


def derive(secret: bytes, purpose: str) -> str:
    """A key for one purpose, from which the project's secret cannot be had: HMAC-SHA256, in hex."""
    return hmac.new(secret, purpose.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def public_id(secret: bytes, kind: str, private_id: str) -> str:
    """What a clip ("c") or a source ("v") is called outside: an HMAC, since a plain hash of footage can be looked up."""
    return f"{kind}-{derive(secret, f'{kind}:{private_id}')[:16]}"


def pseudonym(secret: bytes, who: object) -> str:
    """What an annotator is called here: an HMAC of their Label Studio id (or address, where there is only that)."""
    if isinstance(who, dict):
        who = next((who[k] for k in ("id", "email", "username") if who.get(k) is not None), None)
    return f"a-{derive(secret, f'annotator:{who}')[:12]}"
