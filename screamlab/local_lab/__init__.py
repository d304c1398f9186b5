"""The local lab: virtual hosts on this machine, each with a network namespace of its own.

`model` names everything, `network` and `data_plane` say what links there must be and `seen` what
there is, `files` and `disk` make a host's root file system, `container` and `uml` say how a kind
of host is booted, `shares` what it gets of the processors, `supervisor` is the process that keeps
one host, `hosts` starts and stops it, `lab` puts them together for the Ansible module.
"""
