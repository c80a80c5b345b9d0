"""Readers of annotated footage. Each yields `AnnotatedFrame`s; none decodes an image."""
