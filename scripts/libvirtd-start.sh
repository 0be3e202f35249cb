#!/usr/bin/env bash
# Starts libvirtd where it is down, as a reboot leaves it. No step: ./lab runs it from this folder before a destroy,
# whose @pulumi/libvirt connects before any step could start it, and to see what a killed run left.
# Inputs, in the environment: stack, step.
generation=''
source lib/service.sh

need_root
lock services
command -v libvirtd >/dev/null || exit 0
service_running libvirtd || service_start libvirtd
