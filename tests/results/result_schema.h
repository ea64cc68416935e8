// results/schema/result.schema.json, to hold results against.
#pragma once

#include <fstream>
#include <string>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

namespace bakeoff::test {

class ResultSchema {
 public:
  explicit ResultSchema(const std::string& file) {
    std::ifstream in(file);
    text_ = nlohmann::json::parse(in);
    valijson::SchemaParser parser;
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(text_), schema_);
  }
  bool accepts(const nlohmann::json& result) const {
    valijson::Validator validator(valijson::Validator::kStrongTypes);
    return validator.validate(schema_, valijson::adapters::NlohmannJsonAdapter(result), nullptr);
  }

 private:
  nlohmann::json text_;
  valijson::Schema schema_;
};

}  // namespace bakeoff::test
