"""General helpers: components, files, pages, renderings, progress, devices, optional packages."""
