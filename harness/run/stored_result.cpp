#include "harness/run/stored_result.h"

#include "core/base/errors.h"
#include "core/base/untrusted.h"

namespace bakeoff {

nlohmann::json read_json(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file))
    throw UsageError("cannot read " + file.string() + "; name a run's folder or its result.json");
  return parse_untrusted(read_untrusted(file, most_json_bytes), file.string());
}

ExperimentResult read_result(const std::filesystem::path& folder_or_file) {
  const std::filesystem::path file =
      std::filesystem::is_directory(folder_or_file) ? folder_or_file / "result.json" : folder_or_file;
  try {
    return result_from_json(read_json(file));
  } catch (const UsageError& error) {
    const std::string what = error.what();
    throw UsageError(what.find(file.string()) == std::string::npos ? file.string() + ": " + what : what);
  }
}

}  // namespace bakeoff
