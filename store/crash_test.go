package store

const childEnv = "WIGWAG_STORE_TEST_CHILD"

func child(string) int { return 1 }
