#!/usr/bin/env bash
# Starts libvirtd where it is down, as a reboot leaves it. No step: ./lab destroy runs it from this folder, since
# @pulumi/libvirt connects before any step of a destroy could start it. Inputs, in the environment: stack, step.
generation=''
source lib/service.sh

need_root
lock services
command -v libvirtd >/dev/null || exit 0
service_running libvirtd || service_start libvirtd
