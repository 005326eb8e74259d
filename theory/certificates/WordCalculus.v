(* Polynomials in matrix words, of any dimensions, over any commutative ring: a normal form, proved sound.

   An expression is built from matrix letters by sums, products, transposes, scalars and traces ([expr]); [ev] is its
   value, a MathComp matrix over a commutative ring R.  [nf] expands it: into a sum of terms, each an integer, a sorted
   list of scalars and a word of letters without a 1x1 factor.  A word is split where it passes through the dimension 1;
   what lies between two such places is a number, which is replaced by the lesser of itself and its transpose.
   [check_sound] says: if the normal form of a difference is empty, then the two sides are equal, for all dimensions, all
   rings and all matrices that satisfy the hypotheses used (symmetric letters, inverse scalars, rewriting rules,
   definitions).  Every claim's file states its identity in MathComp's notation and proves it by this theorem and one
   computation. *)
From Coq Require Import ZArith PArith Lia.
From mathcomp Require Import all_ssreflect all_algebra.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Delimit Scope Z_scope with coqZ.
Local Open Scope ring_scope.

(* ---- data: a letter l stands in a word as l~0, its transpose as l~1 ---- *)

Notation word := (seq positive).
Inductive sfac := At of positive | Tr of nat & word.
(* a scalar symbol, or the trace of a word that begins and ends in a dimension *)
Notation term := (Z * (seq sfac * word))%type.
Notation poly := (seq term).

Inductive expr :=
  | Var of positive
  | One
  | Nul
  | Add of expr & expr
  | Opp of expr
  | Mul of nat & expr & expr      (* through this dimension *)
  | Trn of expr
  | Sca of expr & expr            (* a 1x1 expression times another *)
  | Nat of nat & expr
  | Pow of positive & nat & expr  (* a power of a scalar symbol times an expression *)
  | Hlf of expr                   (* half of it *)
  | Trc of nat & expr.            (* the trace, of a square expression of this dimension *)

Fixpoint look (T : Type) (l : positive) (s : seq (positive * T)) : option T :=
  match s with
  | [::] => None
  | (m, v) :: s' => if Pos.eqb l m then Some v else look l s'
  end.

Lemma lookP T l (s : seq (positive * T)) v : look l s = Some v -> exists s1 s2, s = s1 ++ (l, v) :: s2.
Proof.
elim: s => [|[m u] s IH] //=; case: (Pos.eqb_spec l m) => [<- [<-]|_ /IH[s1 [s2 ->]]]; first by exists [::], s.
by exists ((m, u) :: s1), s2.
Qed.

Fixpoint cmpw (u v : word) : comparison :=
  match u, v with
  | [::], [::] => Eq
  | [::], _ => Lt
  | _, [::] => Gt
  | x :: u', y :: v' => match Pos.compare x y with Eq => cmpw u' v' | c => c end
  end.

Lemma cmpw_eq u v : cmpw u v = Eq -> u = v.
Proof.
elim: u v => [|x u IH] [|y v] //=; case E: (Pos.compare x y) => // /IH ->.
by rewrite (Pos.compare_eq _ _ E).
Qed.

Definition cmpf (f g : sfac) : comparison :=
  match f, g with
  | At x, At y => Pos.compare x y
  | At _, Tr _ _ => Lt
  | Tr _ _, At _ => Gt
  | Tr a u, Tr b v => match Nat.compare a b with Eq => cmpw u v | c => c end
  end.

Lemma cmpf_eq f g : cmpf f g = Eq -> f = g.
Proof.
case: f g => [x|a u] [y|b v] //=; first by move/Pos.compare_eq->.
by case E: (Nat.compare a b) => // /cmpw_eq->; rewrite (proj1 (PeanoNat.Nat.compare_eq_iff _ _) E).
Qed.

Fixpoint cmpfs (u v : seq sfac) : comparison :=
  match u, v with
  | [::], [::] => Eq
  | [::], _ => Lt
  | _, [::] => Gt
  | x :: u', y :: v' => match cmpf x y with Eq => cmpfs u' v' | c => c end
  end.

Lemma cmpfs_eq u v : cmpfs u v = Eq -> u = v.
Proof. by elim: u v => [|x u IH] [|y v] //=; case E: (cmpf x y) => // /IH ->; rewrite (cmpf_eq E). Qed.

Definition cmpm (m n : seq sfac * word) : comparison :=
  match cmpw m.2 n.2 with Eq => cmpfs m.1 n.1 | c => c end.

Lemma cmpm_eq m n : cmpm m n = Eq -> m = n.
Proof. by case: m n => [f u] [g v]; rewrite /cmpm /=; case E: (cmpw u v) => // /cmpfs_eq->; rewrite (cmpw_eq E). Qed.

(* ---- sums and products of terms ---- *)

Fixpoint mergef (f : seq sfac) : seq sfac -> seq sfac :=
  fix m2 (g : seq sfac) :=
    match f, g with
    | [::], _ => g
    | _, [::] => f
    | x :: f', y :: g' => match cmpf x y with Gt => y :: m2 g' | _ => x :: mergef f' g end
    end.

Fixpoint addp (p : poly) : poly -> poly :=
  fix add2 (q : poly) :=
    match p, q with
    | [::], _ => q
    | _, [::] => p
    | (c, m) :: p', (d, n) :: q' =>
        match cmpm m n with
        | Eq => let e := Z.add c d in if Z.eqb e 0 then addp p' q' else (e, m) :: addp p' q'
        | Lt => (c, m) :: addp p' q
        | Gt => (d, n) :: add2 q'
        end
    end.

Fixpoint push (p : poly) (st : seq poly) : seq poly :=
  match st with
  | [::] => [:: p]
  | [::] :: st' => p :: st'
  | q :: st' => [::] :: push (addp p q) st'
  end.

Definition sortp (l : poly) : poly := foldr addp [::] (foldr (fun t st => push [:: t] st) [::] l).

Definition scalep (c : Z) (p : poly) : poly := if Z.eqb c 0 then [::] else [seq (Z.mul c t.1, t.2) | t <- p].

Section Calculus.

Variables rows cols : positive -> nat.
Variable syms : seq (positive * bool).        (* symmetric letters; true: skew *)
Variable invs : seq (positive * positive).    (* scalars whose product is one *)
Variable nils : seq (positive * unit).        (* scalars whose square is zero *)
Variable halfp : bool.                        (* whether there is a half *)
Variable fuel : nat.                          (* rewriting steps a word at most *)

Definition xrows (x : positive) : nat := match x with xO l => rows l | xI l => cols l | xH => 0%N end.
Definition xcols (x : positive) : nat := match x with xO l => cols l | xI l => rows l | xH => 0%N end.

Fixpoint wt (a : nat) (w : word) (b : nat) : bool :=
  match w with [::] => a == b | x :: w' => (xrows x == a) && wt (xcols x) w' b end.
Fixpoint wend (a : nat) (w : word) : nat := match w with [::] => a | x :: w' => wend (xcols x) w' end.

Definition flx (x : positive) : bool * positive :=
  match x with
  | xO l => match look l syms with
            | Some s => if rows l == cols l then (s, xO l) else (false, xI l)
            | None => (false, xI l)
            end
  | xI l => (false, xO l)
  | xH => (false, xH)
  end.
Fixpoint flw (w acc : word) (s : bool) : bool * word :=
  match w with [::] => (s, acc) | x :: w' => let (t, y) := flx x in flw w' (y :: acc) (s (+) t) end.

Fixpoint cuts (w : word) : seq word :=
  match w with
  | [::] => [:: [::]]
  | x :: w' => match cuts w' with
               | p :: ps => if xcols x == 0%N then [:: x] :: p :: ps else (x :: p) :: ps
               | [::] => [:: w]
               end
  end.

Definition scalf (s : word) : option (bool * seq sfac) :=
  match s with
  | [::] => Some (false, [::])
  | _ => let (g, f) := flw s [::] false in
         match cmpw f s with
         | Lt => Some (g, [:: Tr 0 f])
         | Eq => if g && halfp then None else Some (false, [:: Tr 0 s])
         | Gt => Some (false, [:: Tr 0 s])
         end
  end.
Fixpoint scals (ss : seq word) : option (bool * seq sfac) :=
  match ss with
  | [::] => Some (false, [::])
  | s :: ss' => match scalf s, scals ss' with
                | Some (g, f), Some (g', f') => Some (g (+) g', mergef f f')
                | _, _ => None
                end
  end.

Definition split (a : nat) (w : word) : seq word * word :=
  match cuts w with
  | [::] => ([::], w)
  | p :: ps => if a == 0%N then (belast p ps, last p ps)
               else match ps with [::] => ([::], p) | q :: qs => (belast q qs, p ++ last q qs) end
  end.

Fixpoint remf (f : sfac) (fs : seq sfac) : option (seq sfac) :=
  match fs with
  | [::] => None
  | g :: fs' => match cmpf f g with Eq => Some fs' | _ => option_map (cons g) (remf f fs') end
  end.
Definition partner (f : sfac) : option sfac := match f with At x => option_map At (look x invs) | _ => None end.
Fixpoint cancel (fs : seq sfac) : seq sfac :=
  match fs with
  | [::] => [::]
  | f :: fs' => let r := cancel fs' in
                match partner f with
                | Some g => match remf g r with Some r' => r' | None => f :: r end
                | None => f :: r
                end
  end.
Definition isnil (f : sfac) : bool := match f with At x => if look x nils is Some _ then true else false | _ => false end.
Fixpoint nilp (fs : seq sfac) : bool :=
  match fs with
  | [::] => false
  | f :: fs' => (isnil f && (if remf f fs' is Some _ then true else false)) || nilp fs'
  end.

Definition mkt (c : Z) (fs : seq sfac) (w : word) : poly :=
  let fs' := cancel fs in if nilp fs' then [::] else [:: (c, (fs', w))].
Definition sgz (g : bool) (c : Z) : Z := if g then Z.opp c else c.
Definition fin (a : nat) (c : Z) (fs : seq sfac) (w : word) : poly :=
  let (ss, core) := split a w in
  match scals ss with None => [::] | Some (g, f) => mkt (sgz g c) (mergef f fs) core end.

(* ---- rewriting ---- *)

Fixpoint after (pat w : word) : option word :=
  match pat, w with
  | [::], _ => Some w
  | x :: pat', y :: w' => if Pos.eqb x y then after pat' w' else None
  | _, _ => None
  end.
Fixpoint findr (pat w : word) : option (word * word) :=
  match after pat w with
  | Some v => Some ([::], v)
  | None => match w with
            | [::] => None
            | x :: w' => match findr pat w' with Some (u, v) => Some (x :: u, v) | None => None end
            end
  end.
Notation rule := (word * (nat * nat * poly))%type.
Fixpoint find1 (rs : seq rule) (w : word) : option (word * rule * word) :=
  match rs with
  | [::] => None
  | r :: rs' => match findr r.1 w with Some (u, v) => Some (u, r, v) | None => find1 rs' w end
  end.
Fixpoint rwt (rs : seq rule) (n : nat) (a : nat) (c : Z) (fs : seq sfac) (w : word) : poly :=
  match n with
  | 0%N => fin a c fs w
  | S n' =>
      match find1 rs w with
      | None => fin a c fs w
      | Some (u, (_, (_, q)), v) =>
          foldr (fun (t : term) acc => rwt rs n' a (Z.mul c t.1) (mergef t.2.1 fs) (u ++ t.2.2 ++ v) ++ acc) [::] q
      end
  end.
Definition mulp (rs : seq rule) (a : nat) (p q : poly) : poly :=
  sortp (foldr (fun (s : term) acc =>
    foldr (fun (t : term) acc' =>
      rwt rs fuel a (Z.mul s.1 t.1) (mergef s.2.1 t.2.1) (s.2.2 ++ t.2.2) ++ acc') acc q) [::] p).

(* ---- cyclic words ---- *)

Definition better (x y : bool * (nat * word)) : bool * (nat * word) :=
  match cmpw x.2.2 y.2.2 with Gt => y | _ => x end.
Definition turns (g : bool) (a : nat) (w : word) : seq (bool * (nat * word)) :=
  [seq (g, (wend a (take i w), rot i w)) | i <- iota 0 (size w)].
Definition cyc (a : nat) (w : word) : bool * seq sfac :=
  let (g, f) := flw w [::] false in
  let best := foldr better (false, (a, w)) (turns false a w ++ turns g a f) in
  (best.1, [:: Tr best.2.1 best.2.2]).
Definition trw (a : nat) (w : word) : option (bool * seq sfac) :=
  match cuts w with
  | p :: q :: qs => scals ((last q qs ++ p) :: belast q qs)
  | _ => if a == 0%N then scals [:: w] else Some (cyc a w)
  end.

(* ---- the normal form of an expression: half to a power times a polynomial ---- *)

Notation hpoly := (nat * poly)%type.
Notation env := (seq (positive * (nat * nat * hpoly))).

Definition flt (t : term) : term := let (g, w) := flw t.2.2 [::] false in (sgz g t.1, (t.2.1, w)).
Definition scafs (t : term) : seq sfac := match t.2.2 with [::] => t.2.1 | w => mergef [:: Tr 0 w] t.2.1 end.
Definition scap (p q : poly) : poly :=
  sortp (foldr (fun (s : term) acc =>
    foldr (fun (t : term) acc' => mkt (Z.mul s.1 t.1) (mergef (scafs s) t.2.1) t.2.2 ++ acc') acc q) [::] p).
Definition powp (s : positive) (n : nat) (p : poly) : poly :=
  sortp (foldr (fun (t : term) acc => mkt t.1 (mergef (nseq n (At s)) t.2.1) t.2.2 ++ acc) [::] p).
Definition trp (a : nat) (p : poly) : poly :=
  sortp (foldr (fun (t : term) acc =>
    match trw a t.2.2 with None => acc | Some (g, f) => mkt (sgz g t.1) (mergef f t.2.1) [::] ++ acc end) [::] p).
Definition two (n : nat) : Z := Z.pow 2 (Z.of_nat n).
Definition addh (x y : hpoly) : hpoly :=
  let h := maxn x.1 y.1 in (h, addp (scalep (two (h - x.1)) x.2) (scalep (two (h - y.1)) y.2)).

Fixpoint nf (rs : seq rule) (en : env) (e : expr) (a b : nat) : option hpoly :=
  match e with
  | Var l =>
      match look l en with
      | Some (a', b', p) => if (a' == a) && (b' == b) then Some p else None
      | None => if (rows l == a) && (cols l == b) then Some (0%N, rwt rs fuel a 1%coqZ [::] [:: xO l]) else None
      end
  | One => if a == b then Some (0%N, [:: (1%coqZ, ([::], [::]))]) else None
  | Nul => Some (0%N, [::])
  | Add e f => match nf rs en e a b, nf rs en f a b with Some x, Some y => Some (addh x y) | _, _ => None end
  | Opp e => match nf rs en e a b with Some x => Some (x.1, scalep (Zneg xH) x.2) | None => None end
  | Mul m e f =>
      match nf rs en e a m, nf rs en f m b with
      | Some x, Some y => Some ((x.1 + y.1)%N, mulp rs a x.2 y.2)
      | _, _ => None
      end
  | Trn e => match nf rs en e b a with Some x => Some (x.1, sortp (map flt x.2)) | None => None end
  | Sca e f =>
      match nf rs en e 0 0, nf rs en f a b with
      | Some x, Some y => Some ((x.1 + y.1)%N, scap x.2 y.2)
      | _, _ => None
      end
  | Nat n e => match nf rs en e a b with Some x => Some (x.1, scalep (Z.of_nat n) x.2) | None => None end
  | Pow s n e => match nf rs en e a b with Some x => Some (x.1, powp s n x.2) | None => None end
  | Hlf e => if halfp then match nf rs en e a b with Some x => Some (S x.1, x.2) | None => None end else None
  | Trc m e =>
      if (a == 0%N) && (b == 0%N)
      then match nf rs en e m m with Some x => Some (x.1, trp m x.2) | None => None end else None
  end.

Notation defs := (seq (positive * (nat * nat * expr))).
Fixpoint nfdefs (rs : seq rule) (ds : defs) (en : env) : option env :=
  match ds with
  | [::] => Some en
  | (l, (a, b, e)) :: ds' => match nf rs en e a b with
                             | Some x => nfdefs rs ds' ((l, (a, b, x)) :: en)
                             | None => None
                             end
  end.

(* A rule: a word (its letters as they stand) from a to b is equal to an expression; its transpose is used as well. *)
Notation rexpr := (nat * nat * word * expr)%type.
Definition mkrules (x : rexpr) : seq rule :=
  let: (a, b, pat, e) := x in
  if (0 < size pat)%N && wt a pat b then
    match nf [::] [::] e a b with
    | Some (0%N, p) =>
        let (g, pat') := flw pat [::] false in
        [:: (pat, (a, b, p)); (pat', (b, a, scalep (sgz g (Zpos xH)) (map flt p)))]
    | _ => [::]
    end
  else [::].

Definition check (rx : seq rexpr) (ds : defs) (a b : nat) (l r : expr) : bool :=
  let rs := flatten (map mkrules rx) in
  match nfdefs rs ds [::] with
  | None => false
  | Some en => match nf rs en (Add l (Opp r)) a b with Some (_, [::]) => true | _ => false end
  end.

(* ---- values ---- *)

Variable R : comRingType.
Variable dm : nat -> nat.
Definition D (a : nat) : nat := if a is S a' then dm a' else 1%N.
Variable L : positive -> forall a b : nat, 'M[R]_(D a, D b).
Variable sc : positive -> R.
Variable half : R.

Definition idm (a b : nat) : 'M[R]_(D a, D b) :=
  match PeanoNat.Nat.eq_dec a b with
  | left e => eq_rect a (fun c => 'M[R]_(D a, D c)) 1%:M b e
  | right _ => 0
  end.

Fixpoint ev (e : expr) (a b : nat) : 'M[R]_(D a, D b) :=
  match e with
  | Var l => L l a b
  | One => idm a b
  | Nul => 0
  | Add e f => ev e a b + ev f a b
  | Opp e => - ev e a b
  | Mul m e f => ev e a m *m ev f m b
  | Trn e => (ev e b a)^T
  | Sca e f => \tr (ev e 0 0) *: ev f a b
  | Nat n e => ev e a b *+ n
  | Pow s n e => sc s ^+ n *: ev e a b
  | Hlf e => half *: ev e a b
  | Trc m e => \tr (ev e m m) *: idm a b
  end.

Definition letx (x : positive) : expr := match x with xO l => Var l | xI l => Trn (Var l) | xH => Nul end.
Fixpoint we (w : word) : expr :=
  match w with [::] => One | [:: x] => letx x | x :: w' => Mul (xcols x) (letx x) (we w') end.

Fixpoint symsP (s : seq (positive * bool)) : Prop :=
  match s with
  | [::] => True
  | (l, k) :: s' => (L l (rows l) (rows l))^T = (if k then - L l (rows l) (rows l) else L l (rows l) (rows l)) /\ symsP s'
  end.
Fixpoint invsP (s : seq (positive * positive)) : Prop :=
  match s with [::] => True | (x, y) :: s' => sc x * sc y = 1 /\ invsP s' end.
Fixpoint nilsP (s : seq (positive * unit)) : Prop :=
  match s with [::] => True | (x, _) :: s' => sc x * sc x = 0 /\ nilsP s' end.
Fixpoint rulesP (s : seq rexpr) : Prop :=
  match s with [::] => True | (a, b, pat, e) :: s' => ev (we pat) a b = ev e a b /\ rulesP s' end.
Fixpoint defsP (s : defs) : Prop :=
  match s with [::] => True | (l, (a, b, e)) :: s' => L l a b = ev e a b /\ defsP s' end.
Definition halfP : Prop := if halfp then half *+ 2 = 1 else True.

Hypothesis symsH : symsP syms.
Hypothesis invsH : invsP invs.
Hypothesis nilsH : nilsP nils.
Hypothesis halfH : halfP.

(* ---- soundness ---- *)

Definition zr (z : Z) : R := (Z.to_nat z)%:R - (Z.to_nat (Z.opp z))%:R.

Lemma zr_sub m n : zr (Z.sub (Z.of_nat m) (Z.of_nat n)) = m%:R - n%:R.
Proof.
rewrite /zr; have -> : Z.to_nat (Z.sub (Z.of_nat m) (Z.of_nat n)) = (m - n)%coq_nat by lia.
have -> : Z.to_nat (Z.opp (Z.sub (Z.of_nat m) (Z.of_nat n))) = (n - m)%coq_nat by lia.
rewrite !minusE.
case/orP: (leq_total m n) => le.
  have -> : (m - n = 0)%N by apply/eqP; rewrite subn_eq0.
  by rewrite natrB // opprB add0r.
have -> : (n - m = 0)%N by apply/eqP; rewrite subn_eq0.
by rewrite natrB // subr0.
Qed.

Lemma zE z : z = Z.sub (Z.of_nat (Z.to_nat z)) (Z.of_nat (Z.to_nat (Z.opp z))).
Proof. lia. Qed.

Lemma zrD x y : zr (Z.add x y) = zr x + zr y.
Proof.
rewrite {1}(zE x) {1}(zE y); set a := Z.to_nat x; set b := Z.to_nat _; set c := Z.to_nat _; set d := Z.to_nat _.
have -> : (Z.of_nat a - Z.of_nat b + (Z.of_nat c - Z.of_nat d) = Z.of_nat (a + c)%coq_nat - Z.of_nat (b + d)%coq_nat)%coqZ
  by lia.
by rewrite zr_sub !plusE !natrD /zr -/a -/b -/c -/d opprD addrACA.
Qed.

Lemma zrM x y : zr (Z.mul x y) = zr x * zr y.
Proof.
rewrite {1}(zE x) {1}(zE y); set a := Z.to_nat x; set b := Z.to_nat _; set c := Z.to_nat _; set d := Z.to_nat _.
have -> : ((Z.of_nat a - Z.of_nat b) * (Z.of_nat c - Z.of_nat d)
   = Z.of_nat (a * c + b * d)%coq_nat - Z.of_nat (a * d + b * c)%coq_nat)%coqZ
  by rewrite !Nat2Z.inj_add !Nat2Z.inj_mul; ring.
rewrite zr_sub !plusE !natrD !natrM /zr -/a -/b -/c -/d mulrBr !mulrBl.
by rewrite opprD opprB [RHS]addrACA [X in _ = _ + X]addrC.
Qed.

Lemma zr0 : zr 0 = 0. Proof. by rewrite /zr subrr. Qed.
Lemma zr1 : zr 1 = 1. Proof. by rewrite /zr subr0. Qed.
Lemma zrN z : zr (Z.opp z) = - zr z.
Proof. by apply/eqP; rewrite -addr_eq0 -zrD Z.add_opp_diag_l zr0. Qed.
Lemma zr_nat n : zr (Z.of_nat n) = n%:R.
Proof. by rewrite -[Z.of_nat n]Z.sub_0_r -[0%coqZ]/(Z.of_nat 0) zr_sub subr0. Qed.

Opaque zr.

Definition sg (g : bool) : R := if g then -1 else 1.
Lemma sg_addb g h : sg (g (+) h) = sg g * sg h.
Proof. by case: g; case: h; rewrite /= ?mulrNN ?mulr1 ?mul1r. Qed.
Lemma sg_sq g : sg g * sg g = 1.
Proof. by case: g; rewrite /= ?mulrNN mulr1. Qed.
Lemma zr_sgz g c : zr (sgz g c) = sg g * zr c.
Proof. by case: g; rewrite /= ?zrN ?mulN1r ?mul1r. Qed.

Definition letm (x : positive) (a b : nat) : 'M[R]_(D a, D b) :=
  match x with xO l => L l a b | xI l => (L l b a)^T | xH => 0 end.
Fixpoint evw (w : word) (a b : nat) : 'M[R]_(D a, D b) :=
  match w with [::] => idm a b | x :: w' => letm x a (xcols x) *m evw w' (xcols x) b end.

Lemma idmE a : idm a a = 1%:M.
Proof.
rewrite /idm; case: PeanoNat.Nat.eq_dec => // e.
by rewrite (Eqdep_dec.UIP_dec PeanoNat.Nat.eq_dec e (erefl a)).
Qed.

Lemma evw_cat u v a b : evw (u ++ v) a b = evw u a (wend a u) *m evw v (wend a u) b.
Proof. by elim: u a => [|x u IH] a /=; rewrite ?idmE ?mul1mx // IH mulmxA. Qed.

Lemma wt_cat u v a b : wt a (u ++ v) b = wt a u (wend a u) && wt (wend a u) v b.
Proof. by elim: u a => [|x u IH] a /=; rewrite ?eqxx // IH andbA. Qed.

Lemma wt_end u a m : wt a u m -> wend a u = m.
Proof. by elim: u a => [|x u IH] a /=; [move/eqP | case/andP=> _ /IH]. Qed.

Lemma symsE l k : look l syms = Some k -> (L l (rows l) (rows l))^T = sg k *: L l (rows l) (rows l).
Proof.
move=> h0; case: (lookP h0) => s1 [s2 e]; move: symsH; rewrite e; elim: s1 {h0 e} => [|[m j] s1 IH] /=.
  by case=> ->; case: k; rewrite /= ?scaleN1r ?scale1r.
by case=> _ /IH.
Qed.

Lemma flx_rows x : xrows (flx x).2 = xcols x.
Proof. by case: x => //= l; case: look => //= s; case: eqP. Qed.
Lemma flx_cols x : xcols (flx x).2 = xrows x.
Proof. by case: x => //= l; case: look => //= s; case: eqP. Qed.

Lemma letm_flx x : letm (flx x).2 (xcols x) (xrows x) = sg (flx x).1 *: (letm x (xrows x) (xcols x))^T.
Proof.
case: x => [l|l|] /=; rewrite ?trmxK ?scale1r ?trmx0 //.
case E: (look l syms) => [s|] /=; rewrite ?scale1r //; case: eqP => [e|_] /=; rewrite ?scale1r //.
by rewrite -e (symsE E) scalerA sg_sq scale1r.
Qed.

Lemma flwP w a b acc c s : wt a w b -> wt a acc c ->
  let r := flw w acc s in wt b r.2 c /\ sg r.1 *: evw r.2 b c = sg s *: ((evw w a b)^T *m evw acc a c).
Proof.
elim: w a acc s => [|x w IH] a acc s /=.
  by move/eqP=> <- h; split=> //; rewrite idmE trmx1 mul1mx.
case/andP=> /eqP ex h hacc; have := letm_flx x; have := flx_rows x; have := flx_cols x.
case: (flx x) => t y /= ec er ey.
have hy : wt (xcols x) (y :: acc) c by rewrite /= er ec ex eqxx hacc.
have [h1 ->] := IH _ _ (s (+) t) h hy; split=> //=.
move: ey; rewrite ec ex => ->.
by rewrite -scalemxAl -scalemxAr scalerA sg_addb -mulrA sg_sq mulr1 trmx_mul mulmxA.
Qed.

Lemma flw0P w a b : wt a w b ->
  let r := flw w [::] false in wt b r.2 a /\ evw r.2 b a = sg r.1 *: (evw w a b)^T.
Proof.
move=> h; have [h1 h2] := flwP false h (eqxx a : wt a [::] a).
split=> //; rewrite /= idmE mulmx1 scale1r in h2.
by rewrite -h2 scalerA sg_sq scale1r.
Qed.

(* scalars *)
Definition evf (f : sfac) : R := match f with At x => sc x | Tr a w => \tr (evw w a a) end.
Fixpoint evfs (fs : seq sfac) : R := match fs with [::] => 1 | f :: fs' => evf f * evfs fs' end.
Fixpoint evss (ss : seq word) : R := match ss with [::] => 1 | s :: ss' => \tr (evw s 0 0) * evss ss' end.

Lemma evfs_merge f g : evfs (mergef f g) = evfs f * evfs g.
Proof.
elim: f g => [|x f IHf] g; first by case: g => [|y g] /=; rewrite mul1r.
elim: g => [|y g IHg] /=; first by rewrite mulr1.
case: (cmpf x y); rewrite /= ?IHf /= ?mulrA //.
by rewrite IHg /= mulrCA !mulrA.
Qed.

Lemma mul1x n (M : 'M[R]_1) (N : 'M[R]_(1, n)) : M *m N = \tr M *: N.
Proof. by rewrite {1}[M]mx11_scalar mul_scalar_mx /mxtrace big_ord1. Qed.

Lemma scalfP s : wt 0 s 0 ->
  match scalf s with None => \tr (evw s 0 0) = 0 | Some (g, f) => \tr (evw s 0 0) = sg g * evfs f end.
Proof.
case: s => [|x s]; first by rewrite /= idmE mxtrace1 mulr1.
move=> h; have [_ e] := flw0P h; rewrite /scalf.
case E: (flw (x :: s) [::] false) e => [g f] /= e.
have tf : \tr (evw f 0 0) = sg g * \tr (evw (x :: s) 0 0) by rewrite e mxtraceZ mxtrace_tr.
have ts : \tr (evw (x :: s) 0 0) = sg g * \tr (evw f 0 0) by rewrite tf mulrA sg_sq mul1r.
case C: (cmpw f (x :: s)); first 1 last.
- by rewrite ts /= mulr1.
- by rewrite /= mulr1 mul1r.
case B: (g && halfp); last by rewrite /= mulr1 mul1r.
move: tf; rewrite (cmpw_eq C); case/andP: B => -> hp /=; move: halfH; rewrite /halfP hp => h2 tf.
rewrite mulN1r in tf; set t := \tr _ in tf *; rewrite -/t.
have : t + t = 0 by rewrite {2}tf subrr.
by rewrite -mulr2n -[t]mul1r -h2 => z; rewrite mulrnAl -mulrnAr mulr2n -[t in t + t]mul1r -h2 -mulr2n z mulr0.
Qed.

Definition wt0 (s : word) : bool := wt 0 s 0.

Lemma scalsP ss : all wt0 ss ->
  match scals ss with None => evss ss = 0 | Some (g, f) => evss ss = sg g * evfs f end.
Proof.
elim: ss => [|s ss IH] /=; first by rewrite mulr1.
case/andP=> hs /IH {IH}; have := scalfP hs.
case: (scalf s) => [[g f]|] e1; case: (scals ss) => [[g' f']|] e2; rewrite e1 ?e2 ?mulr0 ?mul0r //.
by rewrite sg_addb evfs_merge mulrACA.
Qed.

Fixpoint evps (a : nat) (ps : seq word) (b : nat) : 'M[R]_(D a, D b) :=
  match ps with
  | [::] => 0
  | p :: ps' => match ps' with [::] => evw p a b | _ => evw p a 0 *m evps 0 ps' b end
  end.
Fixpoint wtps (a : nat) (ps : seq word) (b : nat) : bool :=
  match ps with
  | [::] => false
  | p :: ps' => match ps' with [::] => wt a p b | _ => wt a p 0 && wtps 0 ps' b end
  end.

Lemma cutsP w a b : wt a w b -> wtps a (cuts w) b /\ evps a (cuts w) b = evw w a b.
Proof.
elim: w a => [|x w IH] a //= /andP[/eqP ex /IH[]]; case: (cuts w) => // p ps.
case: eqP => [e|_] /=.
  by rewrite e => h1 h2; rewrite ex !eqxx /= idmE mulmx1 h2.
by case: ps => [|q qs] /=; rewrite ex eqxx /= => h1 h2; rewrite -h2 ?mulmxA.
Qed.

Lemma evps0 p ps b : wtps 0 (p :: ps) b ->
  [/\ all wt0 (belast p ps), wt 0 (last p ps) b & evps 0 (p :: ps) b = evss (belast p ps) *: evw (last p ps) 0 b].
Proof.
elim: ps p => [|q qs IH] p; first by rewrite /= scale1r.
move=> h; have {h} /andP[hp /IH[h1 h2 h3]] : wt 0 p 0 && wtps 0 (q :: qs) b by [].
split=> //; first by rewrite [all _ _]/= /wt0 hp.
transitivity (evw p 0 0 *m evps 0 (q :: qs) b); first by [].
by rewrite h3 mul1x scalerA.
Qed.

Lemma splitP w a b : wt a w b ->
  [/\ all wt0 (split a w).1, wt a (split a w).2 b & evw w a b = evss (split a w).1 *: evw (split a w).2 a b].
Proof.
move=> h; have [] := cutsP h; rewrite /split; case: (cuts w) => // p ps.
case: eqP => [e|_] h1 h2.
  by rewrite -h2; rewrite e in h1 *; have [h3 h4 h5] := evps0 h1; split; rewrite // -h5.
case: ps h1 h2 => [|q qs] h1 h2; first by split=> //=; rewrite scale1r -h2.
have {h1} /andP[hp /evps0[h3 h4 h5]] : wt a p 0 && wtps 0 (q :: qs) b by [].
have hm := wt_end hp.
split=> //=; first by rewrite wt_cat hm hp.
rewrite -h2; transitivity (evw p a 0 *m evps 0 (q :: qs) b); first by [].
by rewrite h5 evw_cat hm -scalemxAr.
Qed.

Lemma remfP f fs r : remf f fs = Some r -> evfs fs = evf f * evfs r.
Proof.
elim: fs r => [|g fs IH] r //=; case E: (cmpf f g); first by case=> <-; rewrite (cmpf_eq E).
  by case F: (remf f fs) => [r'|] //= [<-] /=; rewrite (IH _ F) mulrCA.
by case F: (remf f fs) => [r'|] //= [<-] /=; rewrite (IH _ F) mulrCA.
Qed.

Lemma invsE x y : look x invs = Some y -> sc x * sc y = 1.
Proof.
move=> h0; case: (lookP h0) => s1 [s2 e]; move: invsH; rewrite e.
by elim: s1 {h0 e} => [|[m j] s1 IH] /=; case.
Qed.

Lemma nilsE x u : look x nils = Some u -> sc x * sc x = 0.
Proof.
move=> h0; case: (lookP h0) => s1 [s2 e]; move: nilsH; rewrite e.
by elim: s1 {h0 e} => [|[m j] s1 IH] /=; case.
Qed.

Lemma partnerP f g : partner f = Some g -> evf f * evf g = 1.
Proof. by case: f => [x|] //=; case E: (look x invs) => [y|] //= [<-] /=; apply: invsE. Qed.

Lemma cancelP fs : evfs (cancel fs) = evfs fs.
Proof.
elim: fs => [|f fs IH] //=; case E: (partner f) => [g|] /=; rewrite ?IH //.
by case F: (remf g _) => [r|] /=; rewrite ?IH // -IH (remfP F) mulrA (partnerP E) mul1r.
Qed.

Lemma nilpP fs : nilp fs -> evfs fs = 0.
Proof.
elim: fs => [|f fs IH] //=; case/orP=> [|/IH->]; last by rewrite mulr0.
case/andP; case: f => [x|] //=; case E: (look x nils) => // _.
by case F: (remf _ fs) => [r|] // _; rewrite (remfP F) mulrA /= (nilsE E) mul0r.
Qed.

Definition evt (a b : nat) (t : term) : 'M[R]_(D a, D b) := (zr t.1 * evfs t.2.1) *: evw t.2.2 a b.
Fixpoint evp (a b : nat) (p : poly) : 'M[R]_(D a, D b) :=
  match p with [::] => 0 | t :: p' => evt a b t + evp a b p' end.
Definition wtt (a b : nat) (t : term) : bool := wt a t.2.2 b.
Definition wtp (a b : nat) (p : poly) : bool := all (wtt a b) p.
(* p stands for the matrix M *)
Definition rep (a b : nat) (p : poly) (M : 'M[R]_(D a, D b)) : Prop := wtp a b p /\ evp a b p = M.

Lemma evp_cat a b p q : evp a b (p ++ q) = evp a b p + evp a b q.
Proof. by elim: p => [|t p IH] /=; rewrite ?add0r // IH addrA. Qed.

Lemma is0 a b :  rep [::] (0 : 'M_(D a, D b)). Proof. by []. Qed.
Lemma is_cat a b p q M N : @rep a b p M -> rep q N -> rep (p ++ q) (M + N).
Proof. by case=> h1 <- [h2 <-]; split; [rewrite /wtp all_cat; apply/andP | rewrite evp_cat]. Qed.

Lemma is_add a b p q M N : @rep a b p M -> rep q N -> rep (addp p q) (M + N).
Proof.
case=> hp <- [hq <-] {M N}; elim: p q hp hq => [|[c m] p IHp] q.
  by case: q => [|t q] _ hq; split=> //=; rewrite add0r.
elim: q => [|[d n] q IHq] hp hq; first by split=> //=; rewrite addr0.
have /andP[hm hp'] : wtt a b (c, m) && wtp a b p by [].
have /andP[hn hq'] : wtt a b (d, n) && wtp a b q by [].
have evE e k r : evp a b ((e, k) :: r) = evt a b (e, k) + evp a b r by [].
rewrite [addp _ _]/=; case E: (cmpm m n).
- have [h1 h2] := IHp _ hp' hq'; rewrite !evE addrACA -h2 -(cmpm_eq E).
  have -> : evt a b (c, m) + evt a b (d, m) = evt a b (Z.add c d, m).
    by rewrite /evt [(Z.add c d, m).1]/= zrD [in RHS]mulrDl scalerDl.
  case: (Z.eqb_spec (Z.add c d) 0%coqZ) => [->|_]; last by split=> //; apply/andP.
  by split=> //; rewrite /evt /= zr0 mul0r scale0r add0r.
- by have [h1 h2] := IHp _ hp' hq; split; [apply/andP | rewrite 2!evE h2 addrA].
- by have [h1 h2] := IHq hp hq'; split; [apply/andP | rewrite evE h2 [in RHS]addrCA evE addrCA].
Qed.

Fixpoint evst (a b : nat) (st : seq poly) : 'M[R]_(D a, D b) :=
  match st with [::] => 0 | p :: st' => evp a b p + evst a b st' end.

Lemma push_is a b p st M : @rep a b p M -> all (wtp a b) st ->
  all (wtp a b) (push p st) /\ evst a b (push p st) = M + evst a b st.
Proof.
elim: st p M => [|q st IH] p M hp; first by case: hp => h1 h2 _ /=; rewrite h1 h2.
case: q => [|t q]; first by case: hp => h1 h2 /= h; rewrite h1 h h2 add0r.
move=> /andP[hq hst]; have hs : rep (addp p (t :: q)) (M + evp a b (t :: q)) by apply: is_add.
have [h1 h2] := IH _ _ hs hst; split; first by [].
by rewrite -[LHS]/(0 + evst a b (push (addp p (t :: q)) st)) add0r h2 -addrA.
Qed.

Lemma is_sort a b p M : @rep a b p M -> rep (sortp p) M.
Proof.
have collect st : all (wtp a b) st -> rep (foldr addp [::] st) (evst a b st).
  by elim: st => [|q st IH] //= /andP[hq /IH hs]; apply: is_add.
case=> hp <-; rewrite /sortp; set st := foldr _ _ p.
suff [h1 <-] : all (wtp a b) st /\ evst a b st = evp a b p by apply: collect.
rewrite /st {st}; elim: p hp => [|t p IH] //= /andP[ht /IH[h1 h2]].
have h :  rep [:: t] (evt a b t) by split; rewrite /= ?andbT ?addr0 // /wtp /= ht.
by have [h3 h4] := push_is h h1; rewrite h2 in h4.
Qed.

Lemma is_scale a b c p M : @rep a b p M -> rep (scalep c p) (zr c *: M).
Proof.
rewrite /scalep; case: (Z.eqb_spec c 0%coqZ) => [->|_]; first by rewrite zr0 scale0r.
case=> hp <-; elim: p hp => [|t p IH] /=; first by rewrite scaler0.
case/andP=> ht /IH[h1 h2]; split; first by rewrite /= h1 andbT.
by rewrite /= h2 scalerDr /evt /= zrM -mulrA scalerA.
Qed.

Lemma mktP a b c fs w : wt a w b -> rep (mkt c fs w) ((zr c * evfs fs) *: evw w a b).
Proof.
move=> h; rewrite /mkt -cancelP; case: ifP => [/nilpP->|_]; first by rewrite mulr0 scale0r.
by split; rewrite /= ?addr0 // /wtp /= /wtt /= h.
Qed.

Lemma finP a b c fs w : wt a w b -> rep (fin a c fs w) ((zr c * evfs fs) *: evw w a b).
Proof.
move=> h; rewrite /fin; have [] := splitP h; case: (split a w) => ss core /= h1 h2 h3.
have := scalsP h1; case: (scals ss) => [[g f]|] e; last by rewrite h3 e scale0r scaler0.
have -> : (zr c * evfs fs) *: evw w a b = (zr (sgz g c) * evfs (mergef f fs)) *: evw core a b.
  by rewrite h3 e scalerA zr_sgz evfs_merge mulrACA [zr c * sg g]mulrC [evfs fs * _]mulrC.
exact: mktP.
Qed.

(* rewriting *)
Definition rule_ok (r : rule) : Prop :=
  let: (pat, (a, b, p)) := r in [/\ (0 < size pat)%N, wt a pat b & rep p (evw pat a b)].
Fixpoint rules_ok (rs : seq rule) : Prop := match rs with [::] => True | r :: rs' => rule_ok r /\ rules_ok rs' end.

Lemma afterP pat w v : after pat w = Some v -> w = pat ++ v.
Proof. by elim: pat w => [|x pat IH] [|y w] //=; [case=> -> | case=> -> | case: (Pos.eqb_spec x y) => // -> /IH->]. Qed.

Lemma findrP pat w u v : findr pat w = Some (u, v) -> w = u ++ pat ++ v.
Proof.
elim: w u v => [|x w IH] u v /=.
  by case E: (after pat [::]) => [z|] // [<- <-]; apply: afterP E.
case E: (after pat (x :: w)) => [z|]; first by case=> <- <-; apply: afterP E.
by case F: (findr pat w) => [[u' v']|] // [<- <-]; rewrite (IH _ _ F).
Qed.

Lemma find1P rs w u r v : rules_ok rs -> find1 rs w = Some (u, r, v) -> rule_ok r /\ w = u ++ r.1 ++ v.
Proof.
elim: rs => [|s rs IH] //= [hs hrs]; case E: (findr s.1 w) => [[u' v']|]; last exact: IH.
by case=> <- <- <-; split=> //; apply: findrP E.
Qed.

Lemma rwtP rs n a b c fs w : rules_ok rs -> wt a w b -> rep (rwt rs n a c fs w) ((zr c * evfs fs) *: evw w a b).
Proof.
move=> hrs; elim: n c fs w => [|n IH] c fs w h /=; first exact: finP.
case E: (find1 rs w) => [[[u [pat [[ra rb] q]]] v]|]; last exact: finP.
have [/= [h0 hpat hq] ew] := find1P hrs E; move: h; rewrite ew wt_cat => /andP[hu hv].
move: (hv); rewrite wt_cat => /andP[hp hv'].
have em : wend a u = ra by case: (pat) h0 hpat hp => [|x pat'] //= _ /andP[/eqP<- _] /andP[/eqP<- _].
rewrite em in hu hp hv hv'; have er := wt_end hpat; rewrite er in hv'.
have -> : evw (u ++ pat ++ v) a b = evw u a ra *m evw pat ra rb *m evw v rb b.
  by rewrite evw_cat em evw_cat er mulmxA.
case: hq => hq <-; elim: q hq {E} => [|t q IHq] /=; first by rewrite mulmx0 mul0mx scaler0.
case/andP=> ht /IHq hs; rewrite mulmxDr mulmxDl scalerDr; apply: is_cat hs.
have -> : (zr c * evfs fs) *: (evw u a ra *m evt ra rb t *m evw v rb b)
  = (zr (Z.mul c t.1) * evfs (mergef t.2.1 fs)) *: evw (u ++ t.2.2 ++ v) a b.
  rewrite evw_cat em evw_cat (wt_end ht) mulmxA /evt -scalemxAr -scalemxAl scalerA zrM evfs_merge.
  by rewrite mulrACA [evfs fs * _]mulrC.
by apply: IH; rewrite wt_cat em hu wt_cat (wt_end ht) (ht : wt ra t.2.2 rb).
Qed.

(* the sum over all pairs of terms *)
Lemma is_pairs a b (A B : nat * nat) p q acc (f : term -> term -> poly) (M : 'M_(D A.1, D A.2)) (N : 'M_(D B.1, D B.2))
    (K : 'M_(D A.1, D A.2) -> 'M_(D B.1, D B.2) -> 'M_(D a, D b)) X :
  (forall N', K 0 N' = 0) -> (forall M', K M' 0 = 0) ->
  (forall M1 M2 N', K (M1 + M2) N' = K M1 N' + K M2 N') -> (forall M' N1 N2, K M' (N1 + N2) = K M' N1 + K M' N2) ->
  (forall s t, wtt A.1 A.2 s -> wtt B.1 B.2 t -> rep (f s t) (K (evt A.1 A.2 s) (evt B.1 B.2 t))) ->
  rep p M -> rep q N -> rep acc X ->
  rep (foldr (fun s acc => foldr (fun t acc' => f s t ++ acc') acc q) acc p) (K M N + X).
Proof.
move=> K0 K0' KD KD' Kf [hp <-] [hq <-] hX; elim: p hp => [|s p IH] /=; first by rewrite K0 add0r.
case/andP=> hs /IH {IH}; set acc' := foldr _ acc p; move: acc' => acc' hacc.
rewrite KD -addrA; move: hacc; set Z := K _ _ + X; move: Z => Z hZ.
elim: q hq => [|t q IHq] /=; first by rewrite K0' add0r.
by case/andP=> ht /IHq h; rewrite KD' -addrA; apply: is_cat h; apply: Kf.
Qed.

Lemma is_mul rs a m b p q M N : rules_ok rs -> @rep a m p M -> @rep m b q N -> rep (mulp rs a p q) (M *m N).
Proof.
move=> hrs hp hq; apply: is_sort; rewrite -[_ *m _]addr0.
apply: (@is_pairs a b (a, m) (m, b) _ _ _ _ _ _ (fun X Y => X *m Y)) hp hq (is0 a b) => //=.
- exact: mul0mx.
- by move=> M'; rewrite mulmx0.
- exact: mulmxDl.
- exact: mulmxDr.
move=> s t hs ht; rewrite /evt -scalemxAl -scalemxAr scalerA.
have -> : zr s.1 * evfs s.2.1 * (zr t.1 * evfs t.2.1) = zr (Z.mul s.1 t.1) * evfs (mergef s.2.1 t.2.1).
  by rewrite zrM evfs_merge mulrACA.
have em := wt_end hs.
have -> : evw s.2.2 a m *m evw t.2.2 m b = evw (s.2.2 ++ t.2.2) a b by rewrite evw_cat em.
by apply: rwtP; rewrite // wt_cat em; apply/andP.
Qed.

Lemma is_scap a b p q M N : @rep 0 0 p M -> @rep a b q N -> rep (scap p q) (\tr M *: N).
Proof.
move=> hp hq; apply: is_sort; rewrite -[_ *: _]addr0.
apply: (@is_pairs a b (0, 0)%N (a, b) _ _ _ _ _ _ (fun X Y => \tr X *: Y)) hp hq (is0 a b) => //=.
- by move=> N'; rewrite mxtrace0 scale0r.
- by move=> M'; rewrite scaler0.
- by move=> M1 M2 N'; rewrite mxtraceD scalerDl.
- by move=> M' N1 N2; rewrite scalerDr.
move=> s t hs ht; rewrite /evt mxtraceZ scalerA.
have e : evfs (scafs s) = evfs s.2.1 * \tr (evw s.2.2 0 0).
  rewrite /scafs; case: (s.2.2) => [|x w]; first by rewrite /= idmE mxtrace1 mulr1.
  by rewrite evfs_merge [evfs [:: _]]/= mulr1 mulrC.
have -> : zr s.1 * evfs s.2.1 * \tr (evw s.2.2 0 0) * (zr t.1 * evfs t.2.1)
    = zr (Z.mul s.1 t.1) * evfs (mergef (scafs s) t.2.1) by rewrite zrM evfs_merge e -(mulrA (zr s.1)) mulrACA.
exact: mktP.
Qed.

(* termwise maps *)
Lemma is_map a b a' b' (f : term -> poly) (K : 'M_(D a, D b) -> 'M_(D a', D b')) p M :
  K 0 = 0 -> (forall M1 M2, K (M1 + M2) = K M1 + K M2) -> (forall t, wtt a b t -> rep (f t) (K (evt a b t))) ->
  rep p M -> rep (sortp (foldr (fun t acc => f t ++ acc) [::] p)) (K M).
Proof.
move=> K0 KD Kf [hp <-]; apply: is_sort; elim: p hp => [|t p IH] /=; first by rewrite K0.
by case/andP=> ht /IH h; rewrite KD; apply: is_cat h; apply: Kf.
Qed.

Lemma is_pow a b s n p M : @rep a b p M -> rep (powp s n p) (sc s ^+ n *: M).
Proof.
apply: is_map; first exact: scaler0.
  by move=> M1 M2; rewrite scalerDr.
move=> t ht; rewrite /evt scalerA.
have -> : sc s ^+ n * (zr t.1 * evfs t.2.1) = zr t.1 * evfs (mergef (nseq n (At s)) t.2.1).
  rewrite evfs_merge mulrCA; congr (_ * (_ * _)).
  by elim: n => [|n IH] /=; rewrite ?expr0 // exprS IH.
exact: mktP.
Qed.

Lemma flt_is a b t : wtt a b t -> wtt b a (flt t) /\ evt b a (flt t) = (evt a b t)^T.
Proof.
move=> h; have [] := flw0P h; rewrite /flt; case: (flw t.2.2 [::] false) => g w /= h1 h2.
split=> //; rewrite /evt /= h2 scalerA.
have -> : zr (sgz g t.1) * evfs t.2.1 * sg g = zr t.1 * evfs t.2.1; last by apply/matrixP => i j; rewrite !mxE.
rewrite zr_sgz.
by case: g {h1 h2}; rewrite /= ?mulN1r ?mulNr ?mulrN1 ?opprK ?mul1r ?mulr1.
Qed.

Lemma is_flip a b p M : @rep a b p M -> rep (map flt p) M^T.
Proof.
case=> hp <-; elim: p hp => [|t p IH] /=; first by rewrite trmx0.
case/andP=> ht /IH[h1 h2]; have [h3 h4] := flt_is ht; split; first by rewrite /= h3.
by rewrite /= h4 h2 linearD.
Qed.

(* cyclic words *)
Definition alike (a : nat) (w : word) (x : bool * (nat * word)) : Prop :=
  \tr (evw w a a) = sg x.1 * \tr (evw x.2.2 x.2.1 x.2.1).

Lemma turnsP g a w b v : wt b v b -> \tr (evw w a a) = sg g * \tr (evw v b b) ->
  forall x, List.In x (turns g b v) -> alike a w x.
Proof.
move=> hv e x; rewrite /turns; elim: (iota _ _) => [|i s IH] //= [<-|/IH//].
rewrite /alike /= e /rot; congr (_ * _).
have : wt b (take i v ++ drop i v) b by rewrite cat_take_drop.
rewrite wt_cat => /andP[_ /wt_end hb].
by rewrite -[in LHS](cat_take_drop i v) [in LHS]evw_cat mxtrace_mulC [in RHS]evw_cat hb.
Qed.

Lemma cycP a w : wt a w a -> \tr (evw w a a) = sg (cyc a w).1 * evfs (cyc a w).2.
Proof.
move=> h; rewrite /cyc; have [] := flw0P h; case: (flw w [::] false) => g f /= hf ef.
set l := turns _ _ _ ++ turns _ _ _; rewrite mulr1.
suff : alike a w (foldr better (false, (a, w)) l) by [].
have hl : forall x, List.In x l -> alike a w x.
  move=> x; rewrite /l => /(@List.in_app_or _ _ _ x) [].
    by apply: turnsP; rewrite //= mul1r.
  by apply: turnsP; rewrite //= ef mxtraceZ mxtrace_tr mulrA sg_sq mul1r.
elim: l hl => [|x l IH] hl; first by rewrite /alike /= mul1r.
rewrite [foldr _ _ _]/= /better; case: cmpw; try by apply: hl; left.
by apply: IH => y hy; apply: hl; right.
Qed.

Lemma trwP a w : wt a w a ->
  match trw a w with None => \tr (evw w a a) = 0 | Some (g, f) => \tr (evw w a a) = sg g * evfs f end.
Proof.
move=> h; have [] := cutsP h; rewrite /trw.
have plain : match (if a == 0%N then scals [:: w] else Some (cyc a w)) with
    None => \tr (evw w a a) = 0 | Some (g, f) => \tr (evw w a a) = sg g * evfs f end.
  case: eqP => [e|_]; last by have := cycP h; case: (cyc a w).
  subst a; have h0 : all wt0 [:: w] by rewrite /= /wt0 h.
  have := scalsP h0. by rewrite [evss _]/= mulr1; case: (scals [:: w]) => [[g f]|].
case: (cuts w) => [|p [|q qs]]; first by [].
  by move=> _ _; move: plain; case: (if _ then _ else _) => [[g f]|].
move=> h1 h2.
have {h1} /andP[hp /evps0[h3 h4 h5]] : wt a p 0 && wtps 0 (q :: qs) a by [].
have h6 : evw w a a = evw p a 0 *m evps 0 (q :: qs) a by rewrite -h2.
have hs : all wt0 ((last q qs ++ p) :: belast q qs) by rewrite /= /wt0 wt_cat (wt_end h4) h4 hp.
have := scalsP hs.
have -> : evss ((last q qs ++ p) :: belast q qs) = \tr (evw w a a); last by case: scals => [[g f]|].
by rewrite h6 h5 -scalemxAr mxtraceZ mxtrace_mulC /= evw_cat (wt_end h4) mulrC.
Qed.

Lemma is_trp a p M : @rep a a p M -> rep (trp a p) (\tr M *: idm 0 0).
Proof.
pose f (t : term) : poly := match trw a t.2.2 with None => [::] | Some (g, h) => mkt (sgz g t.1) (mergef h t.2.1) [::] end.
move=> hp; have -> : trp a p = sortp (foldr (fun t acc => f t ++ acc) [::] p).
  congr sortp; elim: {hp} p => [|t p IH] //=; rewrite {1}/f IH; case: trw => // [[g h]] //.
apply: (is_map (K := fun X => \tr X *: idm 0 0)) hp.
- by rewrite mxtrace0 scale0r.
- by move=> M1 M2; rewrite mxtraceD scalerDl.
move=> t ht; rewrite /f /evt mxtraceZ; have := trwP ht; case: (trw a t.2.2) => [[g h]|] ->; last by rewrite mulr0 scale0r.
have -> : zr t.1 * evfs t.2.1 * (sg g * evfs h) = zr (sgz g t.1) * evfs (mergef h t.2.1).
  by rewrite zr_sgz evfs_merge mulrACA [zr _ * sg g]mulrC [evfs t.2.1 * _]mulrC.
exact: mktP.
Qed.

(* expressions *)
Definition hrep (a b : nat) (x : hpoly) (M : 'M[R]_(D a, D b)) : Prop := exists2 N, rep x.2 N & M = half ^+ x.1 *: N.
Fixpoint env_ok (en : env) : Prop :=
  match en with [::] => True | (l, (a, b, x)) :: en' => hrep x (L l a b) /\ env_ok en' end.

Lemma env_look en l a b x : env_ok en -> look l en = Some (a, b, x) -> hrep x (L l a b).
Proof.
by elim: en => [|[m [[a' b'] y]] en IH] //= [h /IH{}IH]; case: (Pos.eqb_spec l m) => // -> [<- <- <-].
Qed.

Lemma half_two n : halfp -> half ^+ n * zr (two n) = 1.
Proof.
move: halfH; rewrite /halfP => h hp; rewrite hp in h; rewrite /two; elim: n => [|n IH].
  by rewrite expr0 mul1r -[Z.pow _ _]/(Zpos xH) zr1.
rewrite Nat2Z.inj_succ Z.pow_succ_r; last exact: Nat2Z.is_nonneg.
rewrite zrM exprS mulrACA IH mulr1 -[2%coqZ]/(Z.of_nat 2) zr_nat.
by rewrite mulr_natr.
Qed.

Lemma hrep_add a b x y M N : @hrep a b x M -> hrep y N -> (halfp \/ x.1 = 0%N /\ y.1 = 0%N) -> hrep (addh x y) (M + N).
Proof.
case: x y => [h p] [k q] [M' hp ->] [N' hq ->] /= hh; rewrite /addh /=; set n := maxn h k.
exists (zr (two (n - h)) *: M' + zr (two (n - k)) *: N'); first by apply: is_add; apply: is_scale.
have pw m : (m <= n)%N -> (halfp \/ h = 0%N /\ k = 0%N) -> half ^+ n * zr (two (n - m)) = half ^+ m.
  move=> le [hp'|[h0 k0]]; last first.
    by move: le; rewrite /n h0 k0 maxnn leqn0 => /eqP->; rewrite -[two _]/(Zpos xH) zr1 mulr1.
  by rewrite -{1}(subnKC le) exprD -mulrA half_two // mulr1.
by rewrite /= scalerDr !scalerA !pw // ?leq_maxl ?leq_maxr.
Qed.

Lemma nfP rs en e a b x : rules_ok rs -> env_ok en -> (forall l c d y, look l en = Some (c, d, y) -> halfp \/ y.1 = 0%N) ->
  nf rs en e a b = Some x -> hrep x (ev e a b) /\ (halfp \/ x.1 = 0%N).
Proof.
move=> hrs hen hn; elim: e a b x => [l|||e IHe f IHf|e IH|m e IHe f IHf|e IH|e IHe f IHf|n e IH|s n e IH|e IH|m e IH] a b x /=.
- case E: (look l en) => [[[a' b'] y]|].
    by case: eqP => // <-; case: eqP => // <- [<-]; split; [exact: env_look E | exact: hn E].
  case: eqP => // ea; case: eqP => // eb [<-]; split; last by right.
  exists (L l a b); last by rewrite expr0 scale1r.
  have h : wt a [:: xO l] b by rewrite /= ea eb !eqxx.
  have := rwtP fuel 1%coqZ [::] hrs h; rewrite zr1 /= mul1r scale1r eb.
  by rewrite idmE mulmx1.
- case: eqP => // <- [<-]; split; last by right.
  exists (idm a a); last by rewrite expr0 scale1r.
  by split; rewrite /wtp /= /wtt /= ?eqxx // /evt /= zr1 !mul1r scale1r addr0.
- by case=> <-; split; [exists 0; rewrite ?scaler0 | right].
- case E: (nf rs en e a b) => [y|] //; case F: (nf rs en f a b) => [z|] // [<-].
  have [h1 h2] := IHe _ _ _ E; have [h3 h4] := IHf _ _ _ F.
  have hh : halfp \/ y.1 = 0%N /\ z.1 = 0%N by case: h2 h4 => [?|->] [?|->]; [left | left | left | right].
  split; first exact: hrep_add.
  by case: hh => [?|[y0 z0]]; [left | right; rewrite /= y0 z0].
- case E: (nf rs en e a b) => [y|] // [<-]; have [[N hN ->] h2] := IH _ _ _ E; split=> //.
  exists (zr (Zneg xH) *: N); first exact: is_scale.
  by rewrite -[Zneg xH]/(Z.opp (Zpos xH)) zrN zr1 scaleN1r scalerN.
- case E: (nf rs en e a m) => [y|] //; case F: (nf rs en f m b) => [z|] // [<-].
  have [[N hN ->] h2] := IHe _ _ _ E; have [[K hK ->] h4] := IHf _ _ _ F; split.
    exists (N *m K); first exact: is_mul.
    by rewrite -scalemxAl -scalemxAr scalerA /= exprD.
  by case: h2 h4 => [?|/= ->] [?|/= ->]; [left | left | left | right].
- case E: (nf rs en e b a) => [y|] // [<-]; have [[N hN ->] h2] := IH _ _ _ E; split=> //.
  by exists N^T; [apply: is_sort; apply: is_flip | rewrite linearZ].
- case E: (nf rs en e 0 0) => [y|] //; case F: (nf rs en f a b) => [z|] // [<-].
  have [[N hN ->] h2] := IHe _ _ _ E; have [[K hK ->] h4] := IHf _ _ _ F; split.
    exists (\tr N *: K); first exact: is_scap.
    by rewrite mxtraceZ !scalerA /= exprD -!mulrA; congr (_ * _ *: _); rewrite mulrC.
  by case: h2 h4 => [?|/= ->] [?|/= ->]; [left | left | left | right].
- case E: (nf rs en e a b) => [y|] // [<-]; have [[N hN ->] h2] := IH _ _ _ E; split=> //.
  exists (zr (Z.of_nat n) *: N); first exact: is_scale.
  by rewrite zr_nat scaler_nat scalerMnr.
- case E: (nf rs en e a b) => [y|] // [<-]; have [[N hN ->] h2] := IH _ _ _ E; split=> //.
  exists (sc s ^+ n *: N); first exact: is_pow.
  by rewrite !scalerA mulrC.
- case hp: halfp => //; case E: (nf rs en e a b) => [y|] // [<-]; have [[N hN ->] h2] := IH _ _ _ E; split; last by left.
  by exists N; rewrite // scalerA /= exprS.
- case: eqP => //= ->; case: eqP => //= ->; case E: (nf rs en e m m) => [y|] // [<-].
  have [[N hN ->] h2] := IH _ _ _ E; split=> //.
  exists (\tr N *: idm 0 0); first exact: is_trp.
  by rewrite mxtraceZ scalerA.
Qed.

Lemma weE w a b : (0 < size w)%N -> wt a w b -> ev (we w) a b = evw w a b.
Proof.
have letxE x c d : ev (letx x) c d = letm x c d by case: x.
elim: w a => [|x w IH] a //= _; case: w IH => [|y w] IH.
  by case/andP=> _ /eqP <-; rewrite /= letxE idmE mulmx1.
move=> /andP[ex h]; rewrite -[LHS]/(ev (letx x) a (xcols x) *m ev (we (y :: w)) (xcols x) b) letxE.
by rewrite IH.
Qed.

Lemma size_flw w acc s : size (flw w acc s).2 = (size w + size acc)%N.
Proof. by elim: w acc s => [|x w IH] acc s //=; case: (flx x) => t y; rewrite IH addnS. Qed.

Lemma rules_cat r s : rules_ok r -> rules_ok s -> rules_ok (r ++ s).
Proof. by elim: r => [|x r IH] //= [h /IH h'] /h'. Qed.

Lemma mkrulesP rx : rulesP rx -> rules_ok (flatten (map mkrules rx)).
Proof.
elim: rx => [|[[[a b] pat] e] rx IH] //= [h /IH hr]; apply: rules_cat hr.
case: ifP => // /andP[hs hw]; case E: (nf [::] [::] e a b) => [[[|k] p]|] //.
have [] := @nfP [::] [::] e a b _ I I _ E; first by [].
case=> N hN eN0 _; have eN : ev e a b = N by rewrite eN0 expr0 scale1r.
have [] := flw0P hw; have := size_flw pat [::] false; case: (flw pat [::] false) => g pat' /= sz h1 h2.
have eP : evw pat a b = N by rewrite -weE // h.
split; first by split; rewrite // eP.
split=> //; split; [by rewrite sz addn0 | by [] |].
have -> : evw pat' b a = zr (sgz g (Zpos xH)) *: N^T by rewrite h2 eP zr_sgz zr1 mulr1.
by apply: is_scale; apply: is_flip.
Qed.

Lemma nfdefsP rs ds en en' : rules_ok rs -> defsP ds -> env_ok en ->
  (forall l c d y, look l en = Some (c, d, y) -> halfp \/ y.1 = 0%N) -> nfdefs rs ds en = Some en' ->
  env_ok en' /\ (forall l c d y, look l en' = Some (c, d, y) -> halfp \/ y.1 = 0%N).
Proof.
move=> hrs; elim: ds en => [|[l [[a b] e]] ds IH] en /=; first by move=> _ h1 h2 [<-].
case=> h hds hen hn; case E: (nf rs en e a b) => [x|] //; have [h1 h2] := nfP hrs hen hn E.
apply: IH => //=; first by rewrite h.
by move=> m c d y; case: (Pos.eqb_spec m l) => [_ [_ _ <-]|_ /hn].
Qed.

Theorem check_sound rx ds a b l r : rulesP rx -> defsP ds -> check rx ds a b l r = true -> ev l a b = ev r a b.
Proof.
move=> /mkrulesP hrs hds; rewrite /check; set rs := flatten _ in hrs *.
case E: (nfdefs rs ds [::]) => [en|] //.
have [|hen hn] := @nfdefsP rs ds [::] en hrs hds I _ E; first by [].
case F: (nf rs en (Add l (Opp r)) a b) => [[h [|t p]]|] // _.
have [[N [_ hN] e] _] := nfP hrs hen hn F.
by apply/eqP; rewrite -subr_eq0; apply/eqP; rewrite -[LHS]/(ev (Add l (Opp r)) a b) e -hN /= scaler0.
Qed.

End Calculus.

(* ---- averages over tasks: what holds for each task holds on average, and the average is linear ---- *)

Section Averages.
Variables (R : comRingType) (n : nat) (inv_n : R).
Hypothesis inv_nE : inv_n * n%:R = 1.
Definition average a b (F : 'I_n -> 'M[R]_(a, b)) : 'M[R]_(a, b) := inv_n *: \sum_(i < n) F i.

Lemma average_eq a b (F G : 'I_n -> 'M[R]_(a, b)) : (forall i, F i = G i) -> average F = average G.
Proof. by move=> e; congr (_ *: _); apply: eq_bigr. Qed.
Lemma average_add a b (F G : 'I_n -> 'M[R]_(a, b)) : average (fun i => F i + G i) = average F + average G.
Proof. by rewrite /average big_split scalerDr. Qed.
Lemma average_mul a b c d (A : 'M[R]_(a, b)) (F : 'I_n -> 'M[R]_(b, c)) (B : 'M[R]_(c, d)) :
  average (fun i => A *m F i *m B) = A *m average F *m B.
Proof. by rewrite /average -scalemxAr -scalemxAl mulmx_sumr mulmx_suml. Qed.
Lemma average_scale a b (c : R) (F : 'I_n -> 'M[R]_(a, b)) : average (fun i => c *: F i) = c *: average F.
Proof. by rewrite /average -scaler_sumr !scalerA mulrC. Qed.
Lemma average_const a b (A : 'M[R]_(a, b)) : average (fun=> A) = A.
Proof. by rewrite /average sumr_const card_ord -scaler_nat scalerA inv_nE scale1r. Qed.
End Averages.

(* ---- MathComp's operations on matrices over a commutative ring, under names whose types Coq finds at once ---- *)

Section Operations.
Variable R : comRingType.
Definition madd m n (A B : 'M[R]_(m, n)) : 'M[R]_(m, n) := A + B.
Definition mopp m n (A : 'M[R]_(m, n)) : 'M[R]_(m, n) := - A.
Definition mmul m n p (A : 'M[R]_(m, n)) (B : 'M[R]_(n, p)) : 'M[R]_(m, p) := A *m B.
Definition mtr m n (A : 'M[R]_(m, n)) : 'M[R]_(n, m) := A^T.
Definition mscale m n (c : R) (A : 'M[R]_(m, n)) : 'M[R]_(m, n) := c *: A.
Definition mtimes m n (A : 'M[R]_(m, n)) (c : nat) : 'M[R]_(m, n) := A *+ c.
Definition mtrace n (A : 'M[R]_n) : R := \tr A.
Definition mone n : 'M[R]_n := 1%:M.
Definition mzero m n : 'M[R]_(m, n) := 0.
Definition spow (c : R) (n : nat) : R := c ^+ n.
End Operations.

Declare Scope word_scope.
Delimit Scope word_scope with W.
Notation "A + B" := (madd A B) : word_scope.
Notation "- A" := (mopp A) : word_scope.
Notation "A - B" := (madd A (mopp B)) : word_scope.
Notation "A *m B" := (mmul A B) : word_scope.
Notation "A ^T" := (mtr A) : word_scope.
Notation "c *: A" := (mscale c A) : word_scope.
Notation "A *+ n" := (mtimes A n) : word_scope.
Notation "'\tr' A" := (mtrace A) : word_scope.
Notation "c ^+ n" := (spow c n) : word_scope.
