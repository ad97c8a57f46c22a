package auth

// Generation is that of the user's tokens. It changes whenever all of them
// end: when the user is disabled, or gets another password or role.
func (id Identity) Generation() string { return id.generation }

// Of returns the user of that name if none of the user's tokens were revoked
// since a generation, and a [TokenError] otherwise.
func (u *Users) Of(name, generation string) (User, error) {
	r, revision, err := u.get(name)
	if err != nil {
		return User{}, err
	}
	if revision == 0 || r.Disabled || r.Generation != generation {
		return User{}, errRevoked
	}
	return r.user(name), nil
}
