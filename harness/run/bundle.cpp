#include "harness/run/bundle.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/run/kept_inputs.h"
#include "harness/run/stored_result.h"
#include "results/sha256.h"

namespace bakeoff {
namespace {

constexpr std::size_t most_bundled_bytes = std::size_t{4} << 30;  // all of it stands in memory

std::string contents_of(const std::filesystem::path& file) { return read_untrusted(file, most_bundled_bytes); }

// The folder may be somebody else's: the name is a directory in the archive, so it must not lead out of where the
// archive is unpacked.
std::string checked_name(std::string name) {
  if (name.empty() || name.starts_with('.') || name.find('/') != std::string::npos || visible(name) != name)
    throw UsageError("plan.json: the name `" + visible(name) + "` cannot be a directory's; give the run another one");
  return name;
}

// What lies in the run's folder itself. A link or a device could bring in anything.
std::map<std::string, std::string> files_in(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;  // sorted by name
  std::size_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string relative = entry.path().lexically_relative(folder).string();
    const std::filesystem::file_type type = entry.symlink_status().type();
    if (type == std::filesystem::file_type::directory || relative == "lock") continue;
    if (type != std::filesystem::file_type::regular)
      throw UsageError(entry.path().string() + " is " +
                       (type == std::filesystem::file_type::symlink ? "a symbolic link" : "no file") +
                       ", and a bundle holds files of the run alone; remove it");
    bytes += entry.file_size();
    if (bytes > most_bundled_bytes) throw UsageError(folder.string() + " holds more than 4 GiB");
    files[relative] = contents_of(entry.path());
  }
  return files;
}

std::string words(const nlohmann::json& value) {
  if (value.is_null()) return "unknown";
  return value.is_string() ? value.get<std::string>() : json_text(value);
}

std::string readme(const std::string& name, const nlohmann::json& plan, const nlohmann::json& environment) {
  const std::string scale = plan.value("scale", "");
  const std::string arguments = plan.value("search", "run") + " spec.toml" + (scale.empty() ? "" : " --scale " + scale);
  std::string text =
      "# " + name +
      "\n\nA run of bakeoff. To repeat it, build the revision below and, in this folder:\n\n"
      "    sha256sum -c SHA256SUMS\n"
      "    bakeoff check spec.toml\n"
      "    bakeoff " +
      arguments +
      " --out again\n"
      "    bakeoff compare . again\n\n"
      "The order of the trials and the requests follow from the seed in spec.toml; plan.json has the order. "
      "trials.jsonl holds every\n"
      "trial with all that client and server reported; `bakeoff report .` prints the tables of it again.\n";
  text +=
      "`inputs/` has the workload, logs, outside servers, presets and disks as they were; beside inputs.json, "
      "spec.toml "
      "means these.\n\n";
  text += "| | |\n|:--|:--|\n";
  for (const char* key : {"captured", "git_revision", "kernel", "cpu", "processors", "memory_bytes", "governor"}) {
    text += std::string("| ") + key + " | " + words(environment.value(key, nlohmann::json())) + " |\n";
  }
  text += "\n| binary | SHA-256 |\n|:--|:--|\n";
  const nlohmann::json binaries = environment.value("binaries", nlohmann::json::object());
  for (const auto& [binary, hash] : binaries.items()) text += "| " + binary + " | " + words(hash) + " |\n";
  return text;
}

}  // namespace

std::string tar_gz(const ArchiveFiles& files) {
  std::string packed;
  const auto append = [](archive*, void* to, const void* bytes, std::size_t size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), size);
    return static_cast<la_ssize_t>(size);
  };
  const std::unique_ptr<archive, decltype(&archive_write_free)> writer(archive_write_new(), archive_write_free);
  const auto see = [&](int status) {
    if (status != ARCHIVE_OK)
      throw UsageError(std::string("cannot write the archive: ") + archive_error_string(writer.get()));
  };
  see(archive_write_set_format_ustar(writer.get()));
  see(archive_write_add_filter_gzip(writer.get()));
  // The same run gives the same bytes each time.
  see(archive_write_set_options(writer.get(), "gzip:compression-level=9,gzip:!timestamp"));
  see(archive_write_set_bytes_in_last_block(writer.get(), 1));
  see(archive_write_open(writer.get(), &packed, nullptr, append, nullptr));
  for (const auto& [name, text] : files) {
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(), archive_entry_free);
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(text.size()));
    archive_entry_set_mtime(entry.get(), 0, 0);
    if (archive_write_header(writer.get(), entry.get()) != ARCHIVE_OK)
      throw UsageError(name + ": " + archive_error_string(writer.get()));
    const auto written = archive_write_data(writer.get(), text.data(), text.size());
    see(written == static_cast<la_ssize_t>(text.size()) ? ARCHIVE_OK : ARCHIVE_FATAL);
  }
  see(archive_write_close(writer.get()));
  return packed;
}

ArchiveFiles bundle_files(const std::filesystem::path& folder) {
  for (const char* needed : {"spec.toml", "plan.json", "environment.json", "trials.jsonl", "result.json"}) {
    if (!std::filesystem::is_regular_file(folder / needed))
      throw UsageError(folder.string() + " holds no run that could be bundled: there is no " + needed);
  }
  read_result(folder);
  const nlohmann::json plan = read_json(folder / "plan.json"), environment = read_json(folder / "environment.json");
  const std::string name = checked_name(plan.value("name", "run"));

  check_kept_inputs(folder, false);
  std::map<std::string, std::string> files = files_in(folder);
  files["README.md"] = readme(name, plan, environment);

  std::string sums;
  for (const auto& [file, text] : files) sums += sha256(text) + "  " + file + "\n";
  files["SHA256SUMS"] = sums;
  ArchiveFiles all;
  for (auto& [file, text] : files) all.emplace_back(name + "/" + file, std::move(text));
  return all;
}

}  // namespace bakeoff
