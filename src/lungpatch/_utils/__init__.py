"""Helpers without knowledge of radiographs: files, pages, renderings, progress, devices, extras."""
