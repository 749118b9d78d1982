/** grpc.reflection v1 and v1alpha: serves the descriptors that `npm run gen` made of proto/, as they are. */
import { readFile } from 'node:fs/promises';
import { createFileRegistry, type DescFile, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { status as Code, type handleBidiStreamingCall } from '@grpc/grpc-js';
import type { ServerReflectionRequest, ServerReflectionResponse, ServerReflectionServer } from '../gen/grpc/reflection/v1/reflection.ts';

type Answer = ServerReflectionResponse['messageResponse'];

/** What reflection answers from. */
export class Descriptors {
  readonly #files = new Map<string, DescFile>();
  /** Fully qualified name -> the file that defines it. */
  readonly #symbols = new Map<string, DescFile>();
  readonly #services: string[] = [];

  constructor(descriptorSet: Uint8Array) {
    const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet));
    for (const file of registry.files) this.#files.set(file.proto.name, file);
    for (const type of registry) {
      this.#symbols.set(type.typeName, type.file);
      if (type.kind === 'service') this.#services.push(type.typeName);
      const members =
        type.kind === 'message' ? type.members : type.kind === 'service' ? type.methods : type.kind === 'enum' ? type.values : [];
      for (const { name } of members) this.#symbols.set(`${type.typeName}.${name}`, type.file);
    }
    this.#services.sort();
  }

  /** Reads what the generator left beside the generated code. */
  static async load(): Promise<Descriptors> {
    return new Descriptors(await readFile(new URL('../gen/descriptors.binpb', import.meta.url)));
  }

  answer({ messageRequest: request }: ServerReflectionRequest): Answer {
    switch (request?.$case) {
      case 'listServices':
        return { $case: 'listServicesResponse', value: { service: this.#services.map((name) => ({ name })) } };
      case 'fileByFilename':
        return withImports(this.#files.get(request.value), `file "${request.value}"`);
      case 'fileContainingSymbol':
        return withImports(this.#symbols.get(request.value), `symbol "${request.value}"`);
      case 'allExtensionNumbersOfType':
        return this.#symbols.has(request.value)
          ? { $case: 'allExtensionNumbersResponse', value: { baseTypeName: request.value, extensionNumber: [] } }
          : failed(Code.NOT_FOUND, `there is no type "${request.value}" here`);
      case 'fileContainingExtension':
        return failed(Code.NOT_FOUND, 'there are no extensions here');
      case undefined:
        return failed(Code.INVALID_ARGUMENT, 'the request asks for nothing');
    }
  }
}

/** The one method, in the same words for both versions, whose messages are the same. */
export function reflectionMethods(descriptors: Descriptors): Pick<ServerReflectionServer, 'serverReflectionInfo'> {
  const serverReflectionInfo: handleBidiStreamingCall<ServerReflectionRequest, ServerReflectionResponse> = (call) => {
    call.on('data', (request: ServerReflectionRequest) => {
      const answered = call.write({ validHost: request.host, originalRequest: request, messageResponse: descriptors.answer(request) });
      // A caller that asks without reading the answers is not read any further.
      if (!answered) call.pause();
    });
    call.on('drain', () => call.resume());
    call.on('end', () => call.end());
  };
  return { serverReflectionInfo };
}

/** The file first, then everything that it imports. */
function withImports(file: DescFile | undefined, what: string): Answer {
  if (file === undefined) return failed(Code.NOT_FOUND, `there is no ${what} here`);
  const files = new Set<DescFile>([file]);
  // The set grows while it is walked: what is added is visited too.
  for (const each of files) for (const imported of each.dependencies) files.add(imported);
  const fileDescriptorProto = [...files].map((each) => Buffer.from(toBinary(FileDescriptorProtoSchema, each.proto)));
  return { $case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
}

function failed(errorCode: Code, errorMessage: string): Answer {
  return { $case: 'errorResponse', value: { errorCode, errorMessage: errorMessage.slice(0, 300) } };
}
