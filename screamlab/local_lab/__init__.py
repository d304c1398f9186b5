"""The local lab: systemd-nspawn hosts on this machine, each with a network namespace of its own.

`model` names everything, `network` and `data_plane` say what links there must be, `files` and
`disk` make a host's root file system, `supervisor` is the process that keeps one host, `hosts`
starts and stops it, `lab` puts them together for the Ansible module.
"""
