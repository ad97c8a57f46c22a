package main

// excused names the scenarios that may fail, with the reason. An entry whose scenario passes, or is not there any more, is
// itself a failure: the list says what is not offered, and nothing else.
func excused() map[string]string {
	const (
		noTasks  = "io.modelcontextprotocol/tasks (SEP-2663) is an optional extension, and wigwag's tools end within a minute: it is not offered"
		noSkills = "io.modelcontextprotocol/skills (SEP-2640) is an optional extension, and wigwag has no skills to serve: it is not offered"
	)
	return map[string]string{
		"tasks-capability-negotiation": noTasks,
		"tasks-dispatch-and-envelope":  noTasks,
		"tasks-lifecycle":              noTasks,
		"tasks-mrtr-composition":       noTasks,
		"tasks-mrtr-input":             noTasks,
		"tasks-request-headers":        noTasks,
		"tasks-request-state-removal":  noTasks,
		"tasks-required-task-error":    noTasks,
		"tasks-status-notifications":   noTasks,
		"tasks-wire-fields":            noTasks,
		"sep-2640-skills-directory":    noSkills,
		"sep-2640-skills-enumeration":  noSkills,
		"sep-2640-skills-manifest":     noSkills,
	}
}
