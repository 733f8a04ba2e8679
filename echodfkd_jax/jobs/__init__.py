"""One module per `--stage`, each with `run(config)`: the only place where rooms are wired."""
