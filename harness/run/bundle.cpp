#include "harness/run/bundle.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>

#include "core/base/check.h"
#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "harness/plan/specification.h"
#include "harness/run/stored_result.h"
#include "results/sha256.h"

namespace bakeoff {
namespace {

constexpr std::size_t tar_block = 512;

std::string contents_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw UsageError("cannot read " + file.string());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// A file's block of the tar file: POSIX.1-1988, "ustar".
std::string tar_head(const std::string& name, std::size_t size) {
  std::string head(tar_block, '\0');
  const auto put = [&](std::size_t at, std::string_view text) {
    std::copy(text.begin(), text.end(), head.begin() + static_cast<std::ptrdiff_t>(at));
  };
  const auto octal = [](std::size_t value, int digits) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*zo", digits, value);
    return std::string(text);
  };
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");  // nobody's
  put(116, "0000000");
  put(124, octal(size, 11));
  put(136, octal(0, 11));  // of no time
  put(148, "        ");    // the checksum counts as blanks
  put(156, "0");
  put(257, std::string_view("ustar\00000", 8));
  std::size_t sum = 0;
  for (const char byte : head) sum += static_cast<unsigned char>(byte);
  put(148, octal(sum, 6) + std::string(1, '\0') + " ");
  return head;
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  constexpr int gzip_format = 15 + 16;
  BAKEOFF_CHECK(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, gzip_format, 9, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, static_cast<uLong>(text.size())) + 64, '\0');
  std::string input = text;
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  BAKEOFF_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string words(const nlohmann::json& value) {
  if (value.is_null()) return "unknown";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string readme(const std::string& name, const nlohmann::json& plan, const nlohmann::json& environment,
                   bool own_workload) {
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
  if (own_workload) text += "The workload's file stands where spec.toml looks for it from here.\n";
  text += "`definitions/` has the workload and the outside servers as they were.\n\n";
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
  std::string tar;
  for (const auto& [name, text] : files) {
    if (name.size() > 100) throw UsageError(name + ": the name is too long for an archive");
    tar += tar_head(name, text.size()) + text;
    tar.append((tar_block - text.size() % tar_block) % tar_block, '\0');
  }
  tar.append(2 * tar_block, '\0');
  return gzip(tar);
}

ArchiveFiles bundle_files(const std::filesystem::path& folder) {
  for (const char* needed : {"spec.toml", "plan.json", "environment.json", "trials.jsonl", "result.json"}) {
    if (!std::filesystem::is_regular_file(folder / needed))
      throw UsageError(folder.string() + " holds no run that could be bundled: there is no " + needed);
  }
  read_result(folder);
  const nlohmann::json plan = read_json(folder / "plan.json"), environment = read_json(folder / "environment.json");
  const std::string name = plan.value("name", "run");

  std::map<std::string, std::string> files;  // sorted by name
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string relative = std::filesystem::relative(entry.path(), folder).string();
    if (entry.is_regular_file() && relative != "lock") files[relative] = contents_of(entry.path());
  }

  const Specification spec = load_specification((folder / "spec.toml").string(), plan.value("scale", ""));
  std::filesystem::path workload = spec.workload;
  const bool own_workload = spec.workload.find('/') != std::string::npos || workload.extension() == ".toml";
  const std::filesystem::path workload_file =
      own_workload ? workload : data_dir() / "workloads" / (spec.workload + ".toml");
  if (std::filesystem::is_regular_file(workload_file)) {
    files[std::string("definitions/workloads/").append(workload_file.filename().string())] = contents_of(workload_file);
    const std::string inside = workload.lexically_normal().string();
    if (own_workload && workload.is_relative() && !inside.starts_with("..")) files[inside] = contents_of(workload_file);
  }
  for (const ServerSpec& server : spec.servers) {
    if (!server.outside) continue;
    const std::string file = server.architecture + ".toml";
    files[std::string("definitions/outside/").append(file)] = contents_of(data_dir() / "harness" / "outside" / file);
  }
  files["README.md"] = readme(name, plan, environment, own_workload);

  std::string sums;
  for (const auto& [file, text] : files) sums += sha256(text) + "  " + file + "\n";
  files["SHA256SUMS"] = sums;
  ArchiveFiles all;
  for (auto& [file, text] : files) all.emplace_back(name + "/" + file, std::move(text));
  return all;
}

}  // namespace bakeoff
