package dotnetmod

import "github.com/lapwing-defence/lapwing/internal/scan/yara/module"

func fields(k module.Kind, names ...string) map[string]*module.Type {
	m := map[string]*module.Type{}
	module.Fill(m, k, names...)
	return m
}

func texts() *module.Type { return module.ArrayOf(module.T(module.String)) }

func versionType() *module.Type {
	return module.StructOf(fields(module.Int, "major", "minor", "build_number", "revision_number"))
}

func typeOf() *module.Type {
	m := fields(module.Int, "is_dotnet", "number_of_streams", "number_of_guids", "number_of_user_strings", "number_of_resources", "number_of_classes",
		"number_of_assembly_refs", "number_of_modulerefs", "number_of_constants", "number_of_field_offsets")
	module.Fill(m, module.String, "version", "module_name", "typelib")
	stream := fields(module.Int, "offset", "size")
	module.Fill(stream, module.String, "name")
	m["streams"] = module.ArrayOf(module.StructOf(stream))
	m["guids"], m["user_strings"], m["modulerefs"], m["constants"] = texts(), texts(), texts(), texts()
	m["field_offsets"] = module.ArrayOf(module.T(module.Int))
	resource := fields(module.Int, "offset", "length")
	module.Fill(resource, module.String, "name")
	m["resources"] = module.ArrayOf(module.StructOf(resource))
	assembly := fields(module.String, "name", "culture")
	assembly["version"] = versionType()
	m["assembly"] = module.StructOf(assembly)
	ref := fields(module.String, "name", "public_key_or_token")
	ref["version"] = versionType()
	m["assembly_refs"] = module.ArrayOf(module.StructOf(ref))
	m["classes"] = module.ArrayOf(classType())
	return module.StructOf(m)
}

func classType() *module.Type {
	class := fields(module.String, "fullname", "name", "namespace", "visibility", "type")
	module.Fill(class, module.Int, "abstract", "sealed", "number_of_generic_parameters", "number_of_base_types", "number_of_methods")
	class["generic_parameters"], class["base_types"] = texts(), texts()
	method := fields(module.String, "name", "visibility", "return_type")
	module.Fill(method, module.Int, "abstract", "final", "virtual", "static", "number_of_generic_parameters", "number_of_parameters")
	method["generic_parameters"] = texts()
	method["parameters"] = module.ArrayOf(module.StructOf(fields(module.String, "name", "type")))
	class["methods"] = module.ArrayOf(module.StructOf(method))
	return module.StructOf(class)
}
