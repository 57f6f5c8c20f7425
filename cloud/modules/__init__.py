"""One folder a module of the specification; see module.py for what each declares."""
