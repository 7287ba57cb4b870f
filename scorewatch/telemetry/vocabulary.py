"""Every event that a log line can tell, with its level and its meaning; the manual of the logs is made from it.

The names are stable: filters and alerts outside of this repository are written against them.
"""

from __future__ import annotations

_SERVICE = {
    "service_started": ("info", "The process came up and read its configuration."),
    "service_ready": ("info", "Recovery is over and a worker is ready: files are taken from now on."),
    "recovered": ("info", "What an earlier run left was found and taken up again; `states` counts the batches."),
    "stopping": ("info", "Somebody asked the service to end; `at_once`: without the grace time."),
    "exiting": ("info", "The service ends by itself; nothing is owed that the next start would not do."),
    "failing": ("error", "The service ends because it can't go on; `message` says why, `code` is its exit code."),
    "reloaded": ("info", "The configuration was read again; the lists say which keys hold from when on."),
    "reload_refused": ("error", "The new configuration is wrong; the old one stays in force."),
    "policy_changed": ("info", "Batches that are sealed from now on follow the new configuration."),
    "trouble": ("warning", "Something is wrong that the service waits out, or a breaker opened; said once."),
    "trouble_over": ("info", "What `trouble` told of is no longer so."),
    "folder_troubled": ("error", "Inbox, outbox or state is gone, another one, full or read-only; work pauses."),
    "folder_fine": ("info", "That folder can be used again; work goes on."),
    "advice": ("warning", "Something that works and might be unsafe or slow, found at start."),
    "library_warned": ("warning", "A library that is used said something through Python's logging."),
}
_INBOX = {
    "watch_started": ("info", "The kernel tells of new files; `folders` are watched."),
    "watch_failed": ("warning", "The kernel can't tell of new files any more; the folder is read regularly instead."),
    "watch_overflowed": ("info", "More came than the kernel could tell of; the whole folder is read."),
    "polling": ("info", "No events can be had on this file system; the folder is read regularly."),
    "sweep_failed": ("warning", "The inbox could not be read; it is tried again."),
    "sweep_ended": ("debug", "The inbox was read once, to its end."),
    "files_settled": ("debug", "Files are there and whole."),
    "files_skipped": ("warning", "Files were refused by policy; `reasons` counts them, `names` are the first few."),
    "claim_empty": ("info", "None of the files that were to be claimed could be had: busy, withdrawn or taken."),
    "claim_failed": (
        "warning",
        "Nothing could be claimed; the files are where they were. Said when the reason changes.",
    ),
}
_BATCHES = {
    "batch_sealed": ("info", "A batch's files were claimed, and it takes no more; `because` says why."),
    "batch_running": ("info", "The batch was handed to a worker."),
    "batch_started": ("debug", "`run()` is about to be called."),
    "batch_ran": ("debug", "`run()` returned something usable."),
    "batch_scored": ("info", "The batch's output lies whole in staging; `*_s` say what took how long."),
    "batch_committed": ("info", "The batch's output is visible and durable; `seconds` since it was sealed."),
    "batch_released": ("info", "The batch's inputs left the claim; nothing is owed."),
    "batch_returned": ("info", "The batch came back unstarted; no attempt is counted."),
    "batch_interrupted": ("warning", "Something that is no file's fault stopped the batch; it runs again."),
    "batch_retried": ("warning", "An attempt failed; the batch runs again."),
    "batch_split": ("warning", "The batch's attempts are used up; its halves run by themselves."),
    "batch_quarantined": (
        "warning",
        "The batch's files are set aside with the reason beside them; `names` are the first few.",
    ),
    "batch_void": ("warning", "The batch's claim held none of its files any more."),
    "publish_failed": ("warning", "The batch's output could not be published, or its inputs changed meanwhile."),
    "owed": ("warning", "A release, a set-aside or a split did not work; it is tried again."),
    "schema_grown": ("info", "The output schema gained columns."),
}
_WORKERS = {
    "worker_started": ("info", "A worker process was started in a slot."),
    "worker_ready": ("info", "A worker finished `init()`; `model` is what it loaded."),
    "worker_init_failed": ("error", "A worker could not load the scorer."),
    "worker_stopping": ("info", "A worker was asked to end."),
    "worker_killed": ("warning", "A worker was killed; `because` says why."),
    "worker_ended": ("info", "A worker ended by itself, as asked."),
    "worker_died": ("warning", "A worker ended unasked; a negative `exit_code` is the signal that did it."),
    "order_withdrawn": ("debug", "A batch was taken back from a worker that had not started it."),
    "schema_asked": ("debug", "A worker's rows bring columns that the output schema lacks."),
}
CHAPTERS = {
    "The service": _SERVICE,
    "The inbox": _INBOX,
    "Batches": _BATCHES,
    "Workers": _WORKERS,
}
EVENTS = {name: sentence for chapter in CHAPTERS.values() for name, (_, sentence) in chapter.items()}
LEVELS = {name: level for chapter in CHAPTERS.values() for name, (level, _) in chapter.items()}
