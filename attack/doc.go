// Package attack is mallory, who has an account on a wigwag server and wants
// what is alice's. Its tests run the built program and try, one by one, what a
// second user, a page of another site or a stranger on the network can try.
// What mallory may not see must look like what does not exist; what is refused
// must be refused with the right status, and be found in the audit.
package attack
