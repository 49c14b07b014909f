package main

import "emqttd/actors/plugins"

// linked are the plugins that are linked into this program besides those that ship:
// your own, each a folder (docs/extend-hook.md).
func linked() []*plugins.Plugin { return nil }
