package hub_test

import (
	"testing"

	"wigwag/hub"
	"wigwag/hub/logtest"
)

func TestMemoryLog(t *testing.T) {
	logtest.Run(t, func(*testing.T) hub.Log { return hub.NewMemoryLog(4 << 20) })
}
