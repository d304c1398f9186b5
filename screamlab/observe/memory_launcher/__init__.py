"""Runs a Python program as ``python -m MODULE`` or ``python FILE`` would, and watches its memory.

Alone in its file, for it runs in the program's own interpreter, where nothing of screamlab is: from
the standard library, and the profiler that is asked for, which is looked for beside it as well.

It waits for the signal ``SIGRTMIN+5`` before it measures anything. From then on it takes a snapshot
every `--interval` seconds, and at every further signal one with a closer look. All is written to
``snapshots.jsonl`` in `--folder`, one JSON object a line:

``start``     the process, the tool, and what cannot be had, in `notes`
``name``      a type or a traceback gets a number, `id`
``snapshot``  `values` by id, only of those that changed (objects for objgraph, bytes otherwise);
              `blocks` of Python memory in use, `rss_bytes`, `own_bytes` of the tool itself; what it
              took (`took_s`, `cpu_s`); `collected` by the collector so far, `uncollectable` objects
              and, with `--save-all`, `cyclic` ones since the last snapshot, by type
``look``      what a closer look took (`took_s`) and found: `suspects` of objgraph, `methods` of
              memory_profiler
``error``     something went wrong; the program runs on
"""
