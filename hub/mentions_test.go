package hub

import "testing"

func TestHasMention(t *testing.T) {
	for _, text := range []string{
		"@alice", "@Alice", "@ALICE!", "hi @alice, hi", "(@alice)", "\n@alice\n", "@alice's", "@alice:", "@alice…", "**@alice**", "_@alice_", "@alice-", "@alice--",
		"@bob @alice", "@@alice", "@alice@bob", "你好@alice你好", "こんにちは@alice、", "สวัสดี@aliceครับ", "@alice👍", "mail me@x.org @alice", "@alice.", "@alice/bob", "-@alice", "—@alice", "@bob_@alice",
	} {
		if !hasMention(text, "alice") {
			t.Errorf("%q is no mention", text)
		}
	}
	for _, text := range []string{
		"", "@", "alice", "@alic", "@alice2", "@alicebob", "@alice-bob", "@alice_bob", "@aliceé", "x@alice", "x@alice.org", "é@alice", "1@alice", "@ alice", "＠alice",
		"@älice", "@bob", "al@ice", "@al\u0131ce", "@alice\u0301", "@ a l i c e",
	} {
		if hasMention(text, "alice") {
			t.Errorf("%q is a mention", text)
		}
	}
	if hasMention("@\u212aate", "kate") || !hasMention("@Kate", "kate") {
		t.Error("a Kelvin sign is a K")
	}
	if !hasMention("@a-", "a-") || !hasMention("@a-", "a") || hasMention("@a", "a-") || !hasMention("@a-b_", "a-b_") {
		t.Error("names with - and _")
	}
}
