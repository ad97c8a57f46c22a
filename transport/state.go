package transport

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// stateLifetime is how long a client may take to answer an input_required
// result.
const stateLifetime = time.Hour

var errState = &fault{
	status: http.StatusBadRequest, code: mcp.INVALID_PARAMS,
	msg: "requestState is not one that this server gave for this request, or it is over an hour old; send the request again without it",
}

// newSeal makes the cipher of request states. A state travels through the
// client (2026-07-28, multi round-trip requests), to whom it is opaque: it is
// encrypted, and bound to the owner, the method, the parameters and the time.
func newSeal(key []byte) cipher.AEAD {
	if key == nil {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // a secret of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// sealState seals the requestState of an input_required result, and refuses a
// result that asks for what the client did not declare.
func (s *Server) sealState(c *call, result []byte) ([]byte, error) {
	if !bytes.Contains(result, []byte(mcp.ResultTypeInputRequired)) {
		return result, nil
	}
	var head struct {
		Type     mcp.ResultType `json:"resultType"`
		State    string         `json:"requestState"`
		Requests map[string]struct {
			Method mcp.MCPMethod `json:"method"`
		} `json:"inputRequests"`
	}
	if err := json.Unmarshal(result, &head); err != nil {
		return nil, err
	}
	if head.Type != mcp.ResultTypeInputRequired {
		return result, nil // the words are in a text
	}
	if len(head.Requests) == 0 && head.State == "" {
		return nil, errors.New("input_required with neither inputRequests nor requestState")
	}
	declared := c.declared()
	for _, r := range head.Requests {
		if name := capabilityOf(r.Method); !declared[name] {
			return nil, missingCapability(name)
		}
	}
	if head.State == "" {
		return result, nil
	}
	binding, err := c.binding()
	if err != nil {
		return nil, err
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix())) //nolint:gosec // after 1970
	sealed := s.seal.Seal(nil, nil, append(plain, head.State...), binding) //nolint:gosec // the nonce is random, by NewGCMWithRandomNonce
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(result, &fields); err != nil {
		return nil, err
	}
	if fields["requestState"], err = encode(base64.RawURLEncoding.EncodeToString(sealed)); err != nil {
		return nil, err
	}
	return encode(fields)
}

// openState returns the parameters to handle: as they came, or with the
// requestState that the tool gave in place of the sealed one.
func (s *Server) openState(c *call) (json.RawMessage, error) {
	if !c.peer.modern || c.msg.state == nil {
		return c.msg.params, nil
	}
	var text string
	if json.Unmarshal(c.msg.state, &text) != nil {
		return nil, errState
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, errState
	}
	binding, err := c.binding()
	if err != nil {
		return nil, err
	}
	plain, err := s.seal.Open(nil, nil, raw, binding)
	if err != nil || len(plain) < 8 {
		return nil, errState
	}
	given := time.Unix(int64(binary.BigEndian.Uint64(plain)), 0) //nolint:gosec // as it was written
	if time.Since(given) > stateLifetime {
		return nil, errState
	}
	var params map[string]json.RawMessage
	if err := json.Unmarshal(c.msg.params, &params); err != nil {
		return nil, errState
	}
	for key := range params { // mcp-go would take any of them
		if strings.EqualFold(key, "requestState") {
			delete(params, key)
		}
	}
	if params["requestState"], err = encode(string(plain[8:])); err != nil {
		return nil, err
	}
	return encode(params)
}

// binding is what a request state is good for: this owner, method and
// parameters, apart from those that change from round to round.
func (c *call) binding() ([]byte, error) {
	var params map[string]any
	if len(c.msg.params) > 0 {
		dec := json.NewDecoder(bytes.NewReader(c.msg.params))
		dec.UseNumber()
		if err := dec.Decode(&params); err != nil {
			return nil, errState
		}
	}
	delete(params, "requestState")
	delete(params, "inputResponses")
	delete(params, "_meta")
	return encode([]any{c.peer.owner.Key, c.msg.method, params}) // maps are encoded in key order
}

// declared reads the names of the capabilities that the request declares.
func (c *call) declared() map[string]bool {
	var caps map[string]json.RawMessage
	_ = json.Unmarshal(c.msg.meta[mcp.MetaKeyClientCapabilities], &caps) // checked on arrival
	names := make(map[string]bool, len(caps))
	for name, v := range caps {
		names[name] = string(v) != "null"
	}
	return names
}

func capabilityOf(method mcp.MCPMethod) string {
	switch method {
	case mcp.MethodSamplingCreateMessage:
		return "sampling"
	case mcp.MethodListRoots:
		return "roots"
	default:
		return "elicitation"
	}
}
