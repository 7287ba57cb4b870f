"""Every command: where it lives, and its line in the help. Nothing is imported before its command is called for."""

from __future__ import annotations

COMMANDS = {
    "run": (
        "scorewatch.cli.run:run",
        "Score what arrives in the inbox; with --once, what is there.",
    ),
    "check": ("scorewatch.cli.check:check", "Try a configuration, its scorer and some files; change nothing."),
    "status": (
        "scorewatch.cli.status:status",
        "Say what waits, runs, is done or went wrong.",
    ),
    "explain": ("scorewatch.cli.explain:explain", "Tell everything that happened to one input."),
    "retry": ("scorewatch.cli.retry:retry", "Put quarantined files back into the inbox."),
    "collect": ("scorewatch.cli.collect:collect", "Gather all committed predictions in one file."),
    "init": ("scorewatch.cli.init:init", "Write a small deployment that runs at once."),
    "demo": ("scorewatch.cli.demo:demo", "Run a real model on real files, start to end, in a temporary folder."),
    "doctor": ("scorewatch.cli.doctor:doctor", "Look for what will hurt, and say the line that mends it."),
    "ledger": ("scorewatch.cli.ledger:ledger", "Make the ledger again from what lies on disk."),
    "schema": ("scorewatch.cli.schema:schema", "Print the JSON schema of the configuration, for editors."),
}
