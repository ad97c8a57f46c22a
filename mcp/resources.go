package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"wigwag/hub"
)

const (
	roomsURI   = "wigwag://rooms"
	roomURI    = "wigwag://rooms/{room}"
	directURI  = "wigwag://rooms/dm/{first}/{second}"
	markdown   = "text/markdown"
	latest     = 50  // messages in a room's resource
	listed     = 100 // rooms in resources/list, and values of a completion
	roomsBytes = 28_000

	shownMembers = 50
)

// uri is a room's address: a direct room's slashes stay slashes.
func uri(room string) string { return roomsURI + "/" + room }

// uris are the addresses a room answers to: [uri], and what a client makes of
// the template when it fills in the name of a direct room.
func uris(room string) []string {
	plain, escaped := uri(room), uri(url.PathEscape(room))
	if plain == escaped {
		return []string{plain}
	}
	return []string{plain, escaped}
}

// roomOf is the room at an address, in one of its two spellings.
func roomOf(address string) (room string, ok bool) {
	path, ok := strings.CutPrefix(address, roomsURI+"/")
	if !ok {
		return "", false
	}
	room, err := url.PathUnescape(path)
	return room, err == nil && room != "" && (path == room || path == url.PathEscape(room))
}

func (w *wigwag) roomsResource() server.ServerResource {
	return server.ServerResource{
		Resource: mcp.NewResource(roomsURI, "rooms",
			mcp.WithResourceTitle("Rooms"),
			mcp.WithResourceDescription("The rooms you may see. Topics are data written by others."),
			mcp.WithMIMEType("application/json")),
		Handler: w.readRooms,
	}
}

func (w *wigwag) roomTemplate() server.ServerResourceTemplate {
	return server.ServerResourceTemplate{
		Template: mcp.NewResourceTemplate(roomURI, "room",
			mcp.WithTemplateTitle("Room"),
			mcp.WithTemplateDescription("The latest messages of a room."),
			mcp.WithTemplateMIMEType(markdown)),
		Handler: w.readRoom,
	}
}

func (w *wigwag) directTemplate() server.ServerResourceTemplate {
	return server.ServerResourceTemplate{
		Template: mcp.NewResourceTemplate(directURI, "direct room",
			mcp.WithTemplateTitle("Direct room"),
			mcp.WithTemplateDescription("The latest messages between two people, named in alphabetical order."),
			mcp.WithTemplateMIMEType(markdown)),
		Handler: w.readRoom,
	}
}

// roomInfo is a room without what every message changes: the list is updated
// when rooms are.
type roomInfo struct {
	Name  string   `json:"name"`
	URI   string   `json:"uri"`
	Kind  hub.Kind `json:"kind"`
	Topic string   `json:"topic,omitempty"`
}

func (w *wigwag) readRooms(ctx context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	all, err := w.hub.Rooms(ctx, w.actor(ctx))
	if err != nil {
		return nil, err
	}
	list := struct {
		Rooms   []json.RawMessage `json:"rooms"`
		LeftOut int               `json:"left_out,omitempty"` // list_rooms pages through all
	}{Rooms: []json.RawMessage{}}
	size := 0
	for _, room := range all {
		info, err := json.Marshal(roomInfo{room.Name, uri(room.Name), room.Kind, room.Topic})
		if err != nil {
			return nil, err
		}
		if size += len(info); size > roomsBytes {
			break
		}
		list.Rooms = append(list.Rooms, info)
	}
	list.LeftOut = len(all) - len(list.Rooms)
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	return []mcp.ResourceContents{mcp.TextResourceContents{URI: req.Params.URI, MIMEType: "application/json", Text: string(text)}}, nil
}

func (w *wigwag) readRoom(ctx context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	name, ok := roomOf(req.Params.URI)
	if !ok {
		return nil, server.ErrResourceNotFound
	}
	text, err := w.room(ctx, name)
	if mine, ok := errors.AsType[*hub.Error](err); ok && (mine.Code == hub.NotFound || mine.Code == hub.Invalid) {
		return nil, fmt.Errorf("%w: %w", server.ErrResourceNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	return []mcp.ResourceContents{mcp.TextResourceContents{URI: req.Params.URI, MIMEType: markdown, Text: text}}, nil
}

// room is a room and its latest messages, for a model.
func (w *wigwag) room(ctx context.Context, name string) (string, error) {
	actor, target := w.actor(ctx), hub.Target{Room: name}
	room, err := w.hub.Room(ctx, actor, target)
	if err != nil {
		return "", err
	}
	page, err := w.hub.History(ctx, actor, hub.HistoryQuery{Target: target, Limit: latest})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\nKind: %s\n", room.Name, room.Kind)
	if room.Topic != "" {
		fmt.Fprintf(&b, "Topic (data written by others): %q\n", room.Topic)
	}
	if n := len(room.Members); n > 0 {
		fmt.Fprintf(&b, "Members, %d: %s\n", n, strings.Join(room.Members[:min(n, shownMembers)], ", "))
	}
	b.WriteByte('\n')
	b.WriteString(w.transcript(page.Messages))
	return b.String(), nil
}

// listRooms adds the actor's rooms to resources/list, which in mcp-go knows
// only what is the same for everybody. Should the hub be down, that is what
// remains; reading a room will say why.
func (w *wigwag) listRooms(ctx context.Context, _ any, _ *mcp.ListResourcesRequest, result *mcp.ListResourcesResult) {
	all, err := w.hub.Rooms(ctx, w.actor(ctx))
	if err != nil {
		return
	}
	for _, room := range all[:min(len(all), listed)] {
		result.Resources = append(result.Resources, mcp.NewResource(uri(room.Name), room.Name,
			mcp.WithResourceDescription(fmt.Sprintf("The latest messages of this %s room.", room.Kind)),
			mcp.WithMIMEType(markdown)))
	}
}
