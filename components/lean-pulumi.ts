import Module, { createRequire } from "node:module";

// Loaded before @pulumi/pulumi, it keeps away what takes most of a program's start and no lab needs.

const require = createRequire(import.meta.url);

// What turns functions into text, for a cloud to run: TypeScript's compiler and npm's arborist, half a second to
// load. They come when they are called.
for (const name of ["serializeClosure", "codePaths"]) {
	const file = require.resolve(`@pulumi/pulumi/runtime/closure/${name}.js`);
	const called = (key: string, given: unknown[]) => {
		delete require.cache[file];
		return (require(file) as Record<string, (...given: unknown[]) => unknown>)[key]?.(...given);
	};
	const exports = new Proxy(
		{},
		{
			get:
				(_, key: string) =>
				(...given: unknown[]) =>
					called(key, given),
		},
	);
	require.cache[file] = Object.assign(new Module(file), { exports, loaded: true });
}

// Source maps: Pulumi keeps a stack trace of each promise, and looked every frame of it up in them. Node strips types
// without moving a line, so there is nothing to look up.
Reflect.deleteProperty(Error, "prepareStackTrace");
