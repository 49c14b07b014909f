package wire

import (
	"reflect"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/runtime/protoimpl"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Frame is the only message type of ours that crosses the wire: a kind and its msgpack body, preceded by a version
// byte. It is a protobuf message because Proto.Actor ignores registered serializers when it sends; its descriptor is
// built here by hand, so that the build needs no protoc.
type Frame struct {
	state         protoimpl.MessageState
	sizeCache     protoimpl.SizeCache
	unknownFields protoimpl.UnknownFields

	Kind uint32 `protobuf:"varint,1,opt,name=kind,proto3"`
	Data []byte `protobuf:"bytes,2,opt,name=data,proto3"`
}

// frameName is the type name which a Frame has on the wire.
const frameName = "emqttd.wire.Frame"

var frameInfo = registerFrame()

func registerFrame() *protoimpl.MessageInfo {
	field := func(name string, number int32, typ descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: proto.String(name), JsonName: proto.String(name), Number: proto.Int32(number),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: typ.Enum(),
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("emqttd/wire/frame.proto"), Package: proto.String("emqttd.wire"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: proto.String("Frame"),
			Field: []*descriptorpb.FieldDescriptorProto{
				field("kind", 1, descriptorpb.FieldDescriptorProto_TYPE_UINT32),
				field("data", 2, descriptorpb.FieldDescriptorProto_TYPE_BYTES),
			},
		}},
	}, nil)
	if err != nil {
		panic("wire: frame descriptor: " + err.Error())
	}
	info := &protoimpl.MessageInfo{GoReflectType: reflect.TypeOf((*Frame)(nil)), Desc: file.Messages().Get(0)}
	if err := protoregistry.GlobalTypes.RegisterMessage(info); err != nil {
		panic("wire: register frame: " + err.Error())
	}
	return info
}

// ProtoReflect makes Frame a protobuf message.
func (f *Frame) ProtoReflect() protoreflect.Message {
	m := frameInfo.MessageOf(f)
	if state := protoimpl.X.MessageStateOf(protoimpl.Pointer(f)); state.LoadMessageInfo() == nil {
		state.StoreMessageInfo(frameInfo)
	}
	return m
}

// Reset empties the frame. It stores the message info again: without that, decoding into a reset frame panics.
func (f *Frame) Reset() {
	*f = Frame{}
	protoimpl.X.MessageStateOf(protoimpl.Pointer(f)).StoreMessageInfo(frameInfo)
}

// Deserialize implements remote.RootSerialized. It never returns an error, because the framework would end the stream
// and lose every message behind this one: what cannot be read becomes an *Unreadable.
func (f *Frame) Deserialize() (remote.RootSerializable, error) { return decode(f.Kind, f.Data), nil }
