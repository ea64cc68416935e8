// The kinds of workload. Each reads its own keys from the workload's TOML and fills in files, classes and popularity.
#pragma once

#include "core/toml/strict_toml.h"
#include "workloads/workload.h"

namespace bakeoff {

void build_specweb99(const TomlTable& table, Workload& workload);
void build_single_file(const TomlTable& table, Workload& workload);
void build_synthetic(const TomlTable& table, Workload& workload);
void build_dynamic(const TomlTable& table, Workload& workload);
void build_trace(const TomlTable& table, Workload& workload);

// For kinds that know only sizes: adds a file for each, under a made-up path ("/d00000/f0000000"; 100 to a directory)
// that ends in its suffix where there are suffixes, and groups the files into classes by size.
void add_files(Workload& workload, const std::vector<std::uint64_t>& sizes_bytes,
               std::shared_ptr<const Popularity> popularity, const std::vector<std::string>& suffixes = {});

}  // namespace bakeoff
