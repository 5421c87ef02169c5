// The code of a loaded program, as the kernel runs it.

import { BpfError, programInfo } from './libbpf.ts';
import { addressOf, bpf, errno } from './libc.ts';

const OBJ_GET_INFO_BY_FD = 15; // bpf command
const INFO = { sizeBytes: 232, codeLength: 20, codeAddress: 32 }; // struct bpf_prog_info

/** The instructions of a program after the verifier's rewriting (struct bpf_insn, 8 bytes each). Needs CAP_SYS_ADMIN. */
export function programCode(fd: number): Uint8Array {
  const code = new Uint8Array(programInfo(fd).instructions * 8);
  const info = new Uint8Array(INFO.sizeBytes);
  const wanted = new DataView(info.buffer);
  wanted.setUint32(INFO.codeLength, code.length, true);
  wanted.setBigUint64(INFO.codeAddress, BigInt(addressOf(code)), true);
  const attr = new DataView(new ArrayBuffer(16));
  attr.setUint32(0, fd, true);
  attr.setUint32(4, info.length, true);
  attr.setBigUint64(8, BigInt(addressOf(info)), true);
  if (bpf(OBJ_GET_INFO_BY_FD, new Uint8Array(attr.buffer)) < 0)
    throw new BpfError('read the code of a program', errno());
  return code;
}
