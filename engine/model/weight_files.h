// The tensors of one model under one set of names, whatever the files that hold them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/api/tensor.h"

namespace intactkv {

// One tensor; its columns are a multiple of the block of its type.
struct WeightTensor {
  std::string name;  // ours, which are GGUF's: "blk.3.attn_q.weight"
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;       // 1..4 sizes, each >= 1; shape[0] are the columns
  std::span<const std::byte> data;  // exactly the bytes that shape and type need

  int64_t cols() const { return shape[0]; }
  int64_t rows() const;  // product of the other sizes
  int64_t num_elements() const { return rows() * cols(); }
};

// "[192, 576]", in the order given.
std::string ShapeString(const std::vector<int64_t>& shape);

// How the files themselves call a tensor and write its shape; messages speak their language.
enum class TensorNaming { kGguf, kHuggingFace };

// Immutable once opened; movable. Thread-compatible, const calls from any thread. The tensors' data
// live as long as the object.
class WeightFiles {
 public:
  virtual ~WeightFiles() = default;

  const std::string& path() const { return path_; }  // of the file or the directory
  int64_t file_bytes() const { return file_bytes_; }
  const std::vector<WeightTensor>& tensors() const { return tensors_; }  // in the files' order
  const WeightTensor* FindTensor(std::string_view name) const;           // nullptr if there is none

  // How a message about our tensor `name` begins: "PATH: tensor 'NAME'".
  std::string Where(std::string_view name) const;
  // `shape` (columns first) in the order of the files.
  std::string DescribeShape(std::vector<int64_t> shape) const;
  // Gives back the memory that reading the tensor took; the data stay readable.
  virtual void Discard(const WeightTensor& /*tensor*/) const {}
  // The matrix that a Backend loads; its data are the file's, and so is its name.
  HostTensor ToHostTensor(const WeightTensor& tensor) const;

 protected:
  explicit WeightFiles(TensorNaming naming) : naming_(naming) {}
  WeightFiles(WeightFiles&&) = default;
  WeightFiles& operator=(WeightFiles&&) = default;
  // False, and nothing is added, if the name is there already.
  bool AddTensor(WeightTensor tensor);

  TensorNaming naming_;
  std::string path_;
  int64_t file_bytes_ = 0;
  std::vector<WeightTensor> tensors_;

 private:
  std::string FileName(std::string_view name) const;

  std::map<std::string, size_t, std::less<>> tensor_index_;
};

}  // namespace intactkv
