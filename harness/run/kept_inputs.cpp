#include "harness/run/kept_inputs.h"

#include <nlohmann/json.hpp>
#include <set>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/run/stored_result.h"
#include "results/sha256.h"

namespace bakeoff {

void keep_inputs(const Specification& spec, RunFolder& folder) {
  nlohmann::json list = nlohmann::json::array();
  std::set<std::filesystem::path> taken;
  for (const Input& input : spec.inputs) {
    const std::filesystem::path source = std::filesystem::absolute(input.file).lexically_normal();
    std::filesystem::path copy = std::filesystem::path("inputs") / input.kind / source.filename();
    for (int number = 2; !taken.insert(copy).second; ++number)
      copy = std::filesystem::path("inputs") / input.kind / std::to_string(number) / source.filename();
    std::error_code error;
    std::filesystem::create_directories((folder.path() / copy).parent_path(), error);
    if (!error)
      std::filesystem::copy_file(source, folder.path() / copy, std::filesystem::copy_options::overwrite_existing,
                                 error);
    if (error) {
      throw StartError("cannot copy " + source.string() + " to " + (folder.path() / copy).string() + ": " +
                       error.message());
    }
    // Of the copy, which is what the trials read.
    list.push_back({{"kind", input.kind},
                    {"written", input.written},
                    {"copy", copy.string()},
                    {"source", source.string()},
                    {"sha256", sha256_of_file(folder.path() / copy)}});
  }
  folder.write(inputs_file, json_text(nlohmann::json({{"inputs", list}}), 1) + "\n");
}

void check_kept_inputs(const std::filesystem::path& folder, bool sources) {
  if (!std::filesystem::exists(folder / inputs_file)) return;
  try {
    const nlohmann::json listed = read_json(folder / inputs_file);
    for (const nlohmann::json& one : listed.at("inputs")) {
      const auto sha256 = one.at("sha256").get<std::string>();
      const auto check = [&](const std::filesystem::path& file) {
        if (!std::filesystem::exists(file) || sha256_of_file(file) == sha256) return;
        throw UsageError(folder.string() + ": since the run began, " + file.string() +
                         " changed; begin a new run, or put back what was there");
      };
      check(folder / one.at("copy").get<std::string>());
      if (sources) check(one.at("source").get<std::string>());
    }
  } catch (const nlohmann::json::exception& error) {
    throw UsageError((folder / inputs_file).string() + ": damaged: " + plain_words(error));
  }
}

}  // namespace bakeoff
