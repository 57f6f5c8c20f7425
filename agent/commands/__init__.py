"""One module a subcommand: `add_arguments(parser)` and `main(args) -> int`."""
