/** proto3 JSON (protobuf.dev/programming-guides/json) for messages that proto-loader describes. */
import type { PackageDefinition } from '@grpc/proto-loader';
import type { Plain } from './plain.ts';
import { durationFromJson, durationToJson, timestampFromJson, timestampToJson } from './well-known-json.ts';

/** The message says which field is at fault and what was expected. */
export class ProtoJsonProblem extends Error {}

interface Field {
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly typeName: string;
}

interface MessageDescriptor {
  readonly name: string;
  readonly options?: { readonly mapEntry?: boolean } | null;
  readonly field: readonly Field[];
  readonly nestedType: readonly MessageDescriptor[];
  readonly enumType: readonly EnumDescriptor[];
}

interface EnumDescriptor {
  readonly name: string;
  readonly value: readonly { readonly name: string; readonly number: number }[];
}

interface Described<Descriptor> {
  readonly fullName: string;
  readonly descriptor: Descriptor;
}

const DURATION = 'google.protobuf.Duration';
const TIMESTAMP = 'google.protobuf.Timestamp';
const FIELD_MASK = 'google.protobuf.FieldMask';
const UNSIGNED = new Set(['TYPE_UINT32', 'TYPE_FIXED32', 'TYPE_UINT64', 'TYPE_FIXED64']);
const INTEGER_64 = new Set(['TYPE_INT64', 'TYPE_UINT64', 'TYPE_SINT64', 'TYPE_FIXED64', 'TYPE_SFIXED64']);
const INTEGER_32 = new Set(['TYPE_INT32', 'TYPE_UINT32', 'TYPE_SINT32', 'TYPE_FIXED32', 'TYPE_SFIXED32']);

/** JSON as the object that proto-loader's serializer takes. Throws a ProtoJsonProblem for what the message does not have. */
export function fromProtoJson(contract: PackageDefinition, typeName: string, json: unknown): object {
  return messageFrom(contract, messageType(contract, typeName), json, '');
}

/** What proto-loader deserialized (longs, enums and bytes as text, with defaults) as JSON; absent messages are left out. */
export function toProtoJson(contract: PackageDefinition, typeName: string, message: object): Plain {
  return messageTo(contract, messageType(contract, typeName), message);
}

function messageFrom(contract: PackageDefinition, type: Described<MessageDescriptor>, json: unknown, where: string): object {
  if (!isRecord(json)) throw problem(where, `expected an object with the fields of ${type.descriptor.name}`);
  const message: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(json)) {
    const field = type.descriptor.field.find(({ name }) => name === camelCase(key));
    const path = where === '' ? key : `${where}.${key}`;
    if (field === undefined) {
      const known = type.descriptor.field.map(({ name }) => name);
      throw problem(
        path,
        `${type.descriptor.name} has no such field; ${known.length === 0 ? 'it has none' : `expected ${known.join(', ')}`}`,
      );
    }
    if (value !== null) message[field.name] = fieldFrom(contract, type, field, value, path);
  }
  return message;
}

function fieldFrom(contract: PackageDefinition, owner: Described<MessageDescriptor>, field: Field, value: unknown, where: string): unknown {
  if (field.label !== 'LABEL_REPEATED') return valueFrom(contract, owner, field, value, where);
  const map = mapOf(owner, field);
  if (map !== undefined) return mapFrom(contract, owner, map, value, where);
  if (!Array.isArray(value)) throw problem(where, 'expected an array');
  return value.map((item, index) => valueFrom(contract, owner, field, item, `${where}[${index}]`));
}

/** protobuf.dev/programming-guides/json: a map is an object, its keys as text. */
function mapFrom(contract: PackageDefinition, owner: Described<MessageDescriptor>, { key, value }: MapEntry, json: unknown, where: string) {
  if (!isRecord(json)) throw problem(where, 'expected an object with the keys of the map');
  return Object.fromEntries(
    Object.entries(json).map(([text, item]) => {
      const path = `${where}[${JSON.stringify(text)}]`;
      return [mapKeyFrom(key.type, text, path), valueFrom(contract, owner, value, item, path)];
    }),
  );
}

function mapKeyFrom(type: string, text: string, where: string): string {
  if (type === 'TYPE_STRING') return text;
  if (type !== 'TYPE_BOOL') return String(integerFrom(type, text, where));
  if (text !== 'true' && text !== 'false') throw problem(where, 'expected true or false as the key');
  // protobufjs writes any text but an empty one as true.
  return text === 'false' ? '' : text;
}

function valueFrom(contract: PackageDefinition, owner: Described<MessageDescriptor>, field: Field, value: unknown, where: string): unknown {
  if (INTEGER_32.has(field.type) || INTEGER_64.has(field.type)) return integerFrom(field.type, value, where);
  switch (field.type) {
    case 'TYPE_STRING':
      if (typeof value !== 'string') throw problem(where, 'expected text');
      return value;
    case 'TYPE_BOOL':
      if (typeof value !== 'boolean') throw problem(where, 'expected true or false');
      return value;
    case 'TYPE_BYTES':
      if (typeof value !== 'string') throw problem(where, 'expected base64 text');
      return Buffer.from(value, 'base64');
    case 'TYPE_ENUM':
      return enumFrom(resolve(contract, owner, field.typeName), value, where);
    case 'TYPE_MESSAGE':
      return submessageFrom(contract, resolve(contract, owner, field.typeName), value, where);
    default:
      if (typeof value !== 'number') throw problem(where, 'expected a number');
      return value;
  }
}

function submessageFrom(contract: PackageDefinition, type: Described<object> | undefined, value: unknown, where: string): unknown {
  if (type?.fullName === DURATION) {
    const duration = typeof value === 'string' ? durationFromJson(value) : undefined;
    if (duration === undefined) throw problem(where, 'expected a duration in seconds, for example "5s" or "0.25s"');
    return duration;
  }
  if (type?.fullName === TIMESTAMP) {
    const time = typeof value === 'string' ? timestampFromJson(value) : undefined;
    if (time === undefined) throw problem(where, 'expected a time, for example "2030-01-31T12:00:00Z"');
    return time;
  }
  if (type?.fullName === FIELD_MASK) {
    if (typeof value !== 'string') throw problem(where, 'expected field names with commas between them, for example "match,limits"');
    return { paths: value === '' ? [] : value.split(',').map(snakeCase) };
  }
  if (type === undefined || !isMessage(type.descriptor)) throw problem(where, 'lbctl call cannot fill this field');
  return messageFrom(contract, { fullName: type.fullName, descriptor: type.descriptor }, value, where);
}

function enumFrom(type: Described<object> | undefined, value: unknown, where: string): string | number {
  const values = type !== undefined && isEnum(type.descriptor) ? type.descriptor.value : [];
  if (typeof value === 'number' && Number.isInteger(value)) return value;
  const known = values.find(({ name }) => name === value);
  if (known === undefined) throw problem(where, `expected one of ${values.map(({ name }) => name).join(', ')}`);
  return known.name;
}

function integerFrom(type: string, value: unknown, where: string): string | number {
  // JSON.parse has rounded it by now: better no number than another one.
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw problem(where, 'expected so large a number in quotes, since a JSON number loses its last digits');
  }
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string' || !/^-?\d{1,20}$/.test(text)) throw problem(where, 'expected a whole number');
  const bits = INTEGER_64.has(type) ? 64 : 32;
  const integer = BigInt(text);
  const fits = UNSIGNED.has(type) ? BigInt.asUintN(bits, integer) === integer : BigInt.asIntN(bits, integer) === integer;
  if (!fits) throw problem(where, `expected ${UNSIGNED.has(type) ? 'an unsigned' : 'a'} ${bits}-bit number`);
  return bits === 64 ? text : Number(text);
}

function messageTo(contract: PackageDefinition, type: Described<MessageDescriptor>, message: object): Plain {
  const json: Record<string, Plain> = {};
  for (const [key, value] of Object.entries(message)) {
    const field = type.descriptor.field.find(({ name }) => name === key);
    if (value === null || value === undefined || field === undefined) continue;
    const map = mapOf(type, field);
    if (map !== undefined) json[key] = isRecord(value) ? mapTo(contract, type, map, value) : {};
    else
      json[key] = Array.isArray(value)
        ? value.map((item: unknown) => valueTo(contract, type, field, item))
        : valueTo(contract, type, field, value);
  }
  return json;
}

function mapTo(contract: PackageDefinition, owner: Described<MessageDescriptor>, map: MapEntry, value: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [mapKeyTo(map.key.type, key), valueTo(contract, owner, map.value, item)]),
  );
}

/** protobufjs keeps a key of 64 bits as eight characters, a byte each, the least significant first. */
function mapKeyTo(type: string, key: string): string {
  if (!INTEGER_64.has(type)) return key;
  const bytes = Buffer.from(key, 'latin1');
  return String(UNSIGNED.has(type) ? bytes.readBigUInt64LE() : bytes.readBigInt64LE());
}

function valueTo(contract: PackageDefinition, owner: Described<MessageDescriptor>, field: Field, value: unknown): Plain {
  // 64-bit integers are text in proto3 JSON, and are so here already.
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (!isRecord(value)) return null;
  const type = resolve(contract, owner, field.typeName);
  const { seconds, nanos, paths } = value;
  if (type?.fullName === FIELD_MASK) return Array.isArray(paths) ? paths.map(camelCase).join(',') : '';
  if (type?.fullName === DURATION) return durationToJson({ seconds: String(seconds), nanos: Number(nanos) });
  if (type?.fullName === TIMESTAMP) return timestampToJson({ seconds: String(seconds), nanos: Number(nanos) });
  return type !== undefined && isMessage(type.descriptor) ? messageTo(contract, { ...type, descriptor: type.descriptor }, value) : null;
}

interface MapEntry {
  readonly key: Field;
  readonly value: Field;
}

/** Of a map field; a map is described as a repeated message that protobufjs names after the field. */
function mapOf(owner: Described<MessageDescriptor>, { name, label }: Field): MapEntry | undefined {
  if (label !== 'LABEL_REPEATED') return undefined;
  const entryName = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  const entry = owner.descriptor.nestedType.find((nested) => isMapEntry(nested) && nested.name === entryName);
  const key = entry?.field.find((field) => field.name === 'key');
  const value = entry?.field.find((field) => field.name === 'value');
  return key === undefined || value === undefined ? undefined : { key, value };
}

const isMapEntry = ({ options }: MessageDescriptor) => options?.mapEntry === true;

function messageType(contract: PackageDefinition, fullName: string): Described<MessageDescriptor> {
  const descriptor = lookUp(contract, fullName);
  if (descriptor === undefined || !isMessage(descriptor)) throw new Error(`the .proto files define no message ${fullName}`);
  return { fullName, descriptor };
}

/** Names are resolved as protobuf does: in the message itself, then in each scope around it. */
function resolve(contract: PackageDefinition, owner: Described<MessageDescriptor>, typeName: string): Described<object> | undefined {
  const scopes = owner.fullName.split('.');
  for (let depth = scopes.length; depth >= 0; depth--) {
    const fullName = [...scopes.slice(0, depth), typeName.replace(/^\./, '')].join('.');
    const descriptor = lookUp(contract, fullName);
    if (descriptor !== undefined) return { fullName, descriptor };
  }
  return undefined;
}

function lookUp(contract: PackageDefinition, fullName: string): object | undefined {
  const definition = contract[fullName];
  if (definition !== undefined && 'type' in definition && typeof definition.type === 'object') return definition.type;
  const dot = fullName.lastIndexOf('.');
  const outer = dot === -1 ? undefined : lookUp(contract, fullName.slice(0, dot));
  if (outer === undefined || !isMessage(outer)) return undefined;
  const messages = outer.nestedType.filter((nested) => !isMapEntry(nested));
  return [...messages, ...outer.enumType].find(({ name }) => name === fullName.slice(dot + 1));
}

function isMessage(descriptor: object): descriptor is MessageDescriptor {
  return 'field' in descriptor && Array.isArray(descriptor.field);
}

function isEnum(descriptor: object): descriptor is EnumDescriptor {
  return 'value' in descriptor && Array.isArray(descriptor.value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function camelCase(key: string): string {
  return key.replace(/_([a-z\d])/g, (_match, letter: string) => letter.toUpperCase());
}

function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function problem(where: string, expected: string): ProtoJsonProblem {
  return new ProtoJsonProblem(where === '' ? expected : `${where}: ${expected}`);
}
