"""Two ways to change a voice: conversion towards a common voice, and the McAdams coefficient.

`conversion` is the entry point of the first. It uses `common_voice` (the target and the random offsets from it), `psola` (F0 and
formants) and `envelope` (cepstra and loudness). `mcadams` is the second and needs none of them. Both end in `limiter`. The stage
that calls them is `stages/deidentify/anonymise_voice.py`.
"""
