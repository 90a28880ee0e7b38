// EngineStats and a few facts of the server as Prometheus text; the only user of prometheus-cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/engine.h"

namespace intactkv {

// What does not change while serving.
struct MetricsFacts {
  std::string version;
  std::string model_name;
  std::map<std::string, int64_t> weights_bytes =
      {};                     // by kind: "stored", "int4", ... (resident weights)
  int64_t planned_bytes = 0;  // the printed memory plan
};

// What is read at each scrape; nullopt while no engine is there.
using StatsSource = std::function<std::optional<EngineStats>()>;

// What one HTTP listener has to say.
struct ListenerStats {
  std::string listener;  // the label: "api", "admin"
  int64_t connections = 0;
  int64_t accept_failures = 0;
};
using ListenerSource = std::function<std::vector<ListenerStats>()>;

// Thread-safe. Values are read when a scrape comes; nothing is counted on hot paths.
class Metrics {
 public:
  Metrics(StatsSource stats, MetricsFacts facts, ListenerSource listeners = nullptr);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;
  // Text exposition format 0.0.4.
  std::string Render() const;

 private:
  class Collector;
  std::unique_ptr<Collector> collector_;
};

}  // namespace intactkv
