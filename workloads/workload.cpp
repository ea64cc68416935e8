#include "workloads/workload.h"

#include <algorithm>
#include <numeric>

#include "core/base/check.h"
#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "core/toml/strict_toml.h"
#include "workloads/kinds.h"

namespace bakeoff {

namespace {

struct Kind {
  const char* name;
  void (*build)(const TomlTable&, Workload&);
};
constexpr Kind kinds[] = {
    {"specweb99", build_specweb99}, {"single-file", build_single_file},
    {"synthetic", build_synthetic}, {"dynamic", build_dynamic},
    {"trace", build_trace},
};

std::vector<std::string> kind_names() {
  std::vector<std::string> names;
  for (const Kind& kind : kinds) names.emplace_back(kind.name);
  return names;
}

std::vector<std::filesystem::path> shipped_files() {
  std::vector<std::filesystem::path> files;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(workloads_dir(), missing)) {
    if (entry.path().extension() == ".toml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::filesystem::path file_of(std::string_view name_or_path) {
  if (name_or_path.find('/') != std::string_view::npos || name_or_path.ends_with(".toml")) return name_or_path;
  std::vector<std::string> names;
  for (const std::filesystem::path& file : shipped_files()) {
    names.push_back(file.stem());
    if (names.back() == name_or_path) return file;
  }
  const std::string meant = nearest_word(name_or_path, names);
  std::string message = "there is no workload `" + std::string(name_or_path) + "`";
  if (!meant.empty()) message += "; did you mean `" + meant + "`?";
  message += meant.empty() ? "; there are" : " There are";
  for (const std::string& name : names) message += (name == names.front() ? " " : ", ") + name;
  throw UsageError(message + ", or give a TOML file");
}

ClientModel read_clients(const TomlTable& root) {
  ClientModel clients;
  const std::optional<TomlTable> load = root.table("load");
  if (!load) return clients;
  const auto integer = [&](const char* key, std::int64_t least, std::int64_t most) -> std::optional<std::int64_t> {
    if (!load->has(key)) return std::nullopt;
    return load->bytes(key, {least, most});
  };
  const auto distribution = [&](const char* key) -> std::optional<Distribution> {
    if (!load->has(key)) return std::nullopt;
    return read_distribution(*load, key);
  };
  clients.requests_per_connection = integer("requests_per_connection", 1, 1'000'000'000);
  clients.requests_per_session = distribution("requests_per_session");
  clients.requests_per_burst = distribution("requests_per_burst");
  clients.inactive_off_s = distribution("inactive_off");
  clients.active_off_s = distribution("active_off");
  clients.reader_bytes_per_s = integer("reader_bytes_per_s", 1, std::int64_t{1} << 40);
  clients.receive_buffer_bytes = integer("receive_buffer_bytes", 256, 1 << 30);
  return clients;
}

// The runs of a figure: one key and its values.
std::vector<std::string> read_sweep(const TomlTable& root) {
  const std::optional<TomlTable> table = root.table("sweep");
  if (!table) return {};
  const std::string key = table->string("key");
  std::vector<std::string> overrides = table->strings("values");
  for (std::string& value : overrides) value.insert(0, key + "=");
  return overrides;
}

}  // namespace

std::shared_ptr<const Popularity> Popularity::weighted(const std::vector<double>& weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  BAKEOFF_CHECK(sum > 0);
  auto popularity = std::make_shared<Popularity>();
  const std::size_t count = weights.size();
  std::vector<double> height(count);  // of each slot; 1 is full
  std::vector<std::uint32_t> low, high;
  for (std::size_t i = 0; i < count; ++i) {
    BAKEOFF_CHECK(weights[i] >= 0);
    popularity->shares_.push_back(weights[i] / sum);
    height[i] = popularity->shares_[i] * static_cast<double>(count);
    (height[i] < 1 ? low : high).push_back(static_cast<std::uint32_t>(i));
  }
  popularity->slots_.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) popularity->slots_[i] = {0, i};  // full: its own alias
  while (!low.empty() && !high.empty()) {
    const std::uint32_t poor = low.back(), rich = high.back();
    low.pop_back();
    popularity->slots_[poor] = {static_cast<std::uint32_t>(height[poor] * 0x1p32), rich};
    height[rich] -= 1 - height[poor];
    if (height[rich] < 1) {
      high.pop_back();
      low.push_back(rich);
    }
  }
  return popularity;
}

std::shared_ptr<const Popularity> Popularity::in_order(std::vector<std::uint32_t> files, std::uint32_t file_count) {
  BAKEOFF_CHECK(!files.empty());
  auto popularity = std::make_shared<Popularity>();
  popularity->shares_.resize(file_count);
  for (const std::uint32_t file : files) popularity->shares_[file] += 1.0 / static_cast<double>(files.size());
  popularity->order_ = std::move(files);
  return popularity;
}

// Relaxed order is enough: each addition gives a place of its own, and the files do not change.
std::uint32_t Popularity::next_in_order() const {
  return order_[cursor_.fetch_add(1, std::memory_order_relaxed) % order_.size()];
}

double Workload::mean_transfer_bytes() const {
  double mean = 0;
  for (std::uint32_t file = 0; file < files.size(); ++file)
    mean += popularity->share(file) * static_cast<double>(files[file].size_bytes);
  return mean;
}

Workload load_workload(std::string_view name_or_path, const std::vector<std::string>& overrides) {
  const std::filesystem::path file = file_of(name_or_path);
  TomlDocument document = TomlDocument::load(file);
  for (const std::string& assignment : overrides) document.set(assignment);

  const TomlTable root = document.root();
  Workload workload;
  workload.name = file.stem();
  workload.files = FileSet(workload.name);
  workload.description = root.string("description", "");
  workload.kind = root.one_of("kind", kind_names());
  workload.clients = read_clients(root);
  workload.sweep = read_sweep(root);
  const auto* kind = std::find_if(std::begin(kinds), std::end(kinds),
                                  [&](const Kind& candidate) { return candidate.name == workload.kind; });
  kind->build(root, workload);
  document.finish();
  return workload;
}

bool is_path_key(std::string_view key) { return key == "log"; }

std::filesystem::path workloads_dir() { return data_dir() / "workloads"; }

std::vector<WorkloadInfo> list_workloads() {
  std::vector<WorkloadInfo> all;
  for (const std::filesystem::path& file : shipped_files()) {
    const TomlTable root = TomlDocument::load(file).root();
    all.push_back({file.stem(), root.string("kind"), root.string("description", "")});
  }
  return all;
}

}  // namespace bakeoff
